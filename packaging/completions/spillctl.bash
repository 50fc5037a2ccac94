# bash completion for spillctl; to be installed as .../bash-completion/completions/spillctl

_spillctl_services() {
  local socket=()
  [[ "$COMP_LINE" =~ (--socket[=\ ]|-s\ *)([^ ]+) ]] && socket=(--socket="${BASH_REMATCH[2]}")
  "${COMP_WORDS[0]}" "${socket[@]}" status 2>/dev/null | awk 'NR > 2 { print $1 }'
}

_spillctl() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= i words=
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    -s | --socket) ((i++)); [ "${COMP_WORDS[i]}" != = ] || ((i++)) ;;
    -*) ;;
    *)
      command=${COMP_WORDS[i]}
      break
      ;;
    esac
  done
  if [[ $before == -s || $before == --socket ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    return
  fi
  case $command in
  '') words="status release start stop restart signal limit logs reload events top ps why check --socket= --help --version" ;;
  status) words="--json -v $(_spillctl_services)" ;;
  release) words="--level=lazy --level=eager --level=full --target= --no-wait --json all $(_spillctl_services)" ;;
  start | stop | restart) words="--no-wait all $(_spillctl_services)" ;;
  signal)
    [ "$before" = signal ] && words=$(_spillctl_services) ||
      words=$(compgen -A signal | sed -n 's/^SIG//p')
    ;;
  limit) [ "$before" = limit ] && words=$(_spillctl_services) || words=off ;;
  logs) [ "${COMP_WORDS[COMP_CWORD - 2]}" = logs ] && words="stdout stderr" || words="-f -n $(_spillctl_services)" ;;
  events) words=--json ;;
  ps) words="--json --metrics" ;;
  why) words="--json $(_spillctl_services)" ;;
  check)
    mapfile -t COMPREPLY < <(compgen -f -X '!*.ini' -- "$word"; compgen -d -- "$word")
    return
    ;;
  esac
  # Of "--level=f" readline hands over what is behind the "=".
  if [[ $before == = || $word == = ]] && [[ $COMP_WORDBREAKS == *=* ]]; then
    [ "$word" != = ] || word=
    words=$([[ $COMP_LINE == *--level=* ]] && echo lazy eager full)
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
}

complete -F _spillctl spillctl
