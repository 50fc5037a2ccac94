# fish completion for spillctl

function __spillctl_services
    spillctl status 2>/dev/null | awk 'NR > 2 { print $1 }'
end

set -l commands status release start stop restart signal limit logs reload events top ps why check
complete -c spillctl -f
complete -c spillctl -s s -l socket -r -F -d 'control socket'
complete -c spillctl -s h -l help -d 'help'
complete -c spillctl -s V -l version -d 'version'
complete -c spillctl -n "not __fish_seen_subcommand_from $commands" -a "$commands"
complete -c spillctl -n '__fish_seen_subcommand_from status release start stop restart signal limit logs why' -a '(__spillctl_services)'
complete -c spillctl -n '__fish_seen_subcommand_from release start stop restart' -a all
complete -c spillctl -n '__fish_seen_subcommand_from release' -l level -x -a 'lazy eager full' -d 'how hard'
complete -c spillctl -n '__fish_seen_subcommand_from release' -l target -x -d 'how much is enough'
complete -c spillctl -n '__fish_seen_subcommand_from release start stop restart' -l no-wait -d 'do not wait'
complete -c spillctl -n '__fish_seen_subcommand_from status release events ps why' -l json -d 'as JSON'
complete -c spillctl -n '__fish_seen_subcommand_from status' -s v -d 'with the language runtime'
complete -c spillctl -n '__fish_seen_subcommand_from ps' -l metrics -d 'for Prometheus'
complete -c spillctl -n '__fish_seen_subcommand_from limit' -a off
complete -c spillctl -n '__fish_seen_subcommand_from logs' -a 'stdout stderr'
complete -c spillctl -n '__fish_seen_subcommand_from logs' -s f -l follow -d 'and what comes'
complete -c spillctl -n '__fish_seen_subcommand_from logs' -s n -l lines -x -a all -d 'so many'
complete -c spillctl -n '__fish_seen_subcommand_from check' -F
