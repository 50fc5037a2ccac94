#!/bin/bash
# Files written for supervisord, in the shape that images have them, run as they are: order, names,
# restarts, log files.  Their programs are stand-ins.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
[ "$(id -u)" = 0 ] || tap_skip_all "${TAP_ROOT}their programs run as other users"
notes=$TAP_DIR/notes
logs=$TAP_DIR/logs
bin=$TAP_DIR/bin
confs=$TAP_DIR/confs
mkdir "$bin" "$logs"
chmod 755 "$TAP_DIR"
: >"$notes"
chmod 666 "$notes"
cp -r tests/system/supervisord "$confs"
sed -i "s|@BIN@|$bin|g; s|@DIR@|$logs|g" "$confs"/*.conf "$confs"/*/*.conf

# Notes that it runs, writes to both outputs, and waits.
cat >"$bin/stand-in" <<'SHELL'
#!/bin/sh
echo "$SUPERVISOR_GROUP_NAME/$SUPERVISOR_PROCESS_NAME $(umask) ${0##*/} $*" >>"${0%/bin/*}/notes"
echo "$SUPERVISOR_PROCESS_NAME out"
echo "$SUPERVISOR_PROCESS_NAME err" >&2
case ${0##*/} in
oneshot) exit 0 ;;
fails) exit 9 ;;
esac
exec sleep 100000
SHELL
chmod 755 "$bin/stand-in"
for name in php-fpm8.2 php-fpm nginx crond extra celery gunicorn python3 oneshot rsyslogd wrapper-that-waits \
	dovecot node cron redis-server bundle jupyter tensorboard start-xvfb start-vnc start-selenium-standalone fails; do
	ln -s stand-in "$bin/$name"
done

noted() {
	grep -q -- "$1" "$notes"
}

logged() {
	grep -q -- "$1" "$log"
}

holds() {
	grep -qx -- "$2" "$1" 2>/dev/null
}

# So many have run, and the supervisor has said so, which comes after their first instruction.
have_started() {
	[ "$(wc -l <"$notes")" -ge "$1" ] && [ "$(grep -c ': started, pid ' "$log")" -ge "$1" ]
}

# The services in the order in which they were first made: what is logged first is what ran its program first.
started() {
	sed -n 's/.* \([^ ]*\): started, pid \([0-9]*\).*/\2 \1/p' "$log" | sort -n | awk '!seen[$2]++ { print $2 }' | tr '\n' ' '
}

runs_as() {
	[ "$(stat -c %U "/proc/$1")" = "$2" ]
}

# begin NAME PROCESSES: runs that file, until so many have started
begin() {
	ini=$confs/$1.conf
	log=$TAP_DIR/$1.log
	out=$TAP_DIR/$1.out
	: >"$notes"
	(cd "$confs" && APP_PORT=8080 START_XVFB=true START_VNC=false exec "$spillway" run "$1.conf") \
		>"$out" 2>"$log" </dev/null &
	pid=$!
	at_exit_kill "$pid"
	tap_ok "$1: its $2 processes start" wait_until 60 have_started "$2"
}

end() {
	kill -TERM "$pid"
	wait "$pid"
	tap_is "$1: told to stop it exits with 0" $? 0
	tap_ok "$1: nothing is wrong" eval '! logged " error "'
}

begin pastebin 2
tap_ok "pastebin: both write to our stdout" wait_until 60 eval 'holds "$out" "php-fpm out" && holds "$out" "nginx out"'
tap_ok "pastebin: and to our stderr" wait_until 60 holds "$log" "nginx err"
tap_ok "pastebin: quotes are read" noted '^nginx/nginx 0022 nginx -g daemon off;$'
end pastebin

begin cloud 4
tap_is "cloud: by priority, the lowest first" "$(started)" "php-fpm nginx cron extra "
tap_ok "cloud: its log files" wait_until 60 eval 'holds "$logs/nginx.log" "nginx out" && holds "$logs/nginx-err.log" "nginx err"'
tap_ok "cloud: one that it did not name has a name of ours" \
	wait_until 60 eval 'grep -qx "cron out" "$logs"/cron-stdout---spillway-*.log'
tap_ok "cloud: the file that it includes" noted "extra --here $confs/conf.d\$"
tap_ok "cloud: both outputs in one file" wait_until 60 eval 'holds "$logs/extra.log" "extra out" && holds "$logs/extra.log" "extra err"'
tap_ok "cloud: what has no effect is named with its line" \
	eval 'logged "cloud.conf:1: \[unix_http_server\] has no effect" && logged "cloud.conf:13: nodaemon in \[supervisord\] has no effect"'
end cloud

begin celery 4
tap_ok "celery: numprocs" noted "^queue/celery_02 .* --hostname=celery-2@$(uname -n)\$"
tap_is "celery: the clock comes after the workers" "$(started)" "celery_00 celery_01 celery_02 celerybeat "
tap_ok "celery: two outputs, one file" wait_until 60 eval 'holds "$logs/celery_01.log" "celery_01 out" && holds "$logs/celery_01.log" "celery_01 err"'
tap_ok "celery: it runs as the user" wait_until 60 runs_as "$(pid_said celery_00)" nobody
end celery

begin archive 3
tap_ok "archive: they run" eval 'noted "^gunicorn/" && noted "^consumer/" && noted "^scheduler/"'
end archive

begin mail 3
tap_ok "mail: lines that go on" noted 'wrapper-that-waits postfix --config /etc/postfix --foreground$'
tap_ok "mail: what is not to start does not" eval '! noted rsyslog'
tap_ok "mail: and can be started by hand" "${spillway%/*}/spillctl" -s "/run/spillway/mail.sock" start rsyslog
tap_ok "mail: then it runs" wait_until 60 noted '^rsyslog/rsyslog '
end mail

begin cronapp 3
tap_ok "cronapp: a variable of ours" noted 'node /app/server.js --port 8080$'
tap_ok "cronapp: all is in one stream" wait_until 60 eval 'holds "$out" "migrate err" && holds "$out" "cron out"'
tap_ok "cronapp: what is done stays done" eval '[ "$(grep -c oneshot "$notes")" = 1 ] && kill -0 "$pid"'
end cronapp

begin sidekiq 4
tap_is "sidekiq: the server is first" "$(started)" "redis sidekiq.00 sidekiq.01 puma "
tap_ok "sidekiq: processes without a name have one" noted '^sidekiq/sidekiq.01 '
tap_ok "sidekiq: they share a file" wait_until 60 eval 'holds "$logs/sidekiq.log" "sidekiq.00 out" && holds "$logs/sidekiq.log" "sidekiq.01 err"'
end sidekiq

begin jupyter 1
tap_ok "jupyter: it runs" noted 'jupyter lab --no-browser --ip=0.0.0.0 --port=8888$'
end jupyter

begin selenium 2
tap_ok "selenium: one that a variable switches on" noted start-xvfb
tap_ok "selenium: and one that it does not" eval '! noted start-vnc'
tap_ok "selenium: a shell that waits" noted start-selenium-standalone
end selenium

# --- what becomes of log files, and of what fails ---------------------------------------------

begin gunicorn 6
tap_ok "gunicorn: ports by number, umask" noted '^web/web-3 0027 gunicorn --bind 127.0.0.1:8003 '
tap_ok "gunicorn: what does not stay up is given up" wait_until 60 logged 'flaky: given up: it did not stay up for 1000 ms in 2 starts'
tap_ok "gunicorn: the others run on" kill -0 "$pid"
tap_ok "gunicorn: its log" wait_until 60 holds "$logs/web-2.log" 'web-2 out'
mv "$logs/web-2.log" "$logs/moved"
kill -USR2 "$pid"
tap_ok "SIGUSR2: log files are opened anew" wait_until 60 test -e "$logs/web-2.log"
web=$(pid_said web-2)
sed -i 's|web-%(process_num)d.log|other-%(process_num)d.log|' "$confs/gunicorn.conf"
kill -HUP "$pid"
tap_ok "a reload with another file" wait_until 60 test -e "$logs/other-2.log"
tap_ok "leaves its process alone" kill -0 "$web"
echo "after the reload" >"/proc/$web/fd/1"
big=$logs/other-2.log
tap_ok "which writes to the new one" wait_until 60 holds "$big" "after the reload"
seq 20000 >"/proc/$web/fd/1"
tap_ok "it is rotated" wait_until 60 eval 'holds "$big" 20000 && [ -e "$big.1" ]'
tap_ok "and none is larger than it may be, nor kept for longer" \
	eval '[ "$(stat -c %s "$big")" -le 69632 ] && [ "$(stat -c %s "$big.1")" -le 69632 ] && [ ! -e "$big.2" ]'
tap_is "no line is cut" "$(cat "$big.1" "$big" | grep -cvE '^[0-9]+$')" 1
kill -TERM "$pid"
wait "$pid"

# --- a disk that is full ------------------------------------------------------------------------

cat >"$TAP_DIR/full.conf" <<INI
[program:writer]
command = sh -c 'i=0; while [ \$i -lt 3000 ]; do echo line \$i; i=\$((i + 1)); done; echo through >>$notes; exec sleep 100000'
stdout_logfile = /dev/full
stderr_logfile = NONE
INI
log=$TAP_DIR/full.log
"$spillway" run "$TAP_DIR/full.conf" 2>"$log" </dev/null &
pid=$!
at_exit_kill "$pid"
tap_ok "a full disk stops no program" wait_until 60 noted through
tap_ok "and is said once" eval 'wait_until 60 logged "writer: stdout: /dev/full: No space left on device" && [ "$(grep -c "No space" "$log")" = 1 ]'
kill -TERM "$pid"
wait "$pid"
tap_ok "with the bytes that were lost" logged 'writer: stdout: /dev/full: [0-9]* bytes were lost'
tap_done
