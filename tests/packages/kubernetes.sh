#!/bin/bash
# What Kubernetes is told, without a cluster: manifests against the API's schemas, and the policy's expressions over pods,
# by an evaluator of their language.  The test tools are npm's; where they cannot be had, what needs them is skipped.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/support/tap.sh
version=$(sed -n 's/^VERSION := //p' Makefile)
kubernetes=packaging/kubernetes
policy=$kubernetes/chart/files/policy.yaml
tools=build/kubernetes

# Each line that a script prints is a test.
tests_of() {
	local line count=0
	while read -r line; do
		count=$((count + 1))
		case $line in
		"ok "*) tap_pass "${line#ok }" ;;
		*) tap_fail "${line#not ok }" ;;
		esac
	done < <(cd "$tools" && node "$@" 2>"$TAP_DIR/errors")
	[ $count -gt 0 ] && [ ! -s "$TAP_DIR/errors" ] || tap_fail "$1 runs" "$(cat "$TAP_DIR/errors")"
}

tap_is "this version is named" "$(grep -rhoE 'spillway:[0-9][0-9.]*|^(appV|v)ersion: .*' $kubernetes | sort -u | paste -sd ' ')" \
	"appVersion: $version spillway:$version version: $version"
if tests/packages/kubernetes/tools; then
	tests_of cases.mjs "$PWD/$policy"
	tests_of chart.mjs "$PWD/$kubernetes/chart" "$TAP_DIR"
	tests_of schemas.mjs "$TAP_DIR/whole.yaml"
else
	tap_skip "the policy's expressions, the chart, and schemas" "node 20, or npm's packages, cannot be had"
fi

# What Prometheus and Grafana are to ask for is what a supervisor tells.
tells() {
	local port
	port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	printf '[supervisor]\ncontrol = off\nmetrics = 127.0.0.1:%s\n[service:web]\ncommand = sleep 1000\n' "$port" >"$TAP_DIR/app.ini"
	build/release/bin/spillway -q run "$TAP_DIR/app.ini" >"$TAP_DIR/out" 2>&1 &
	supervisor=$!
	at_exit_kill $supervisor
	wait_until 60 eval '/usr/bin/python3 -c "import urllib.request
print(urllib.request.urlopen(\"http://127.0.0.1:'"$port"'/metrics\").read().decode())" >"$TAP_DIR/metrics" 2>/dev/null'
}
tap_ok "a supervisor tells its metrics" tells
kill -TERM $supervisor
wait $supervisor
sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p; s/^\(spillway_[a-z_]*\).*/\1/p' "$TAP_DIR/metrics" | sort -u >"$TAP_DIR/told"
grep -oE 'spillway_[a-z_]+' $kubernetes/chart/files/{rules.yaml,dashboard.json} | cut -d : -f 2 | sort -u >"$TAP_DIR/asked"
tap_ok "rules and dashboard ask for many" test "$(wc -l <"$TAP_DIR/asked")" -gt 20
tap_is "none of which is unknown" "$(comm -23 "$TAP_DIR/asked" "$TAP_DIR/told" | paste -sd ' ')" ""
if command -v promtool >/dev/null; then
	sed -n '/^spec:/,$p' $kubernetes/chart/files/rules.yaml | sed '1d; s/^  //' >"$TAP_DIR/rules.yml"
	cp tests/packages/kubernetes/rules.yaml "$TAP_DIR"
	tap_ok "promtool takes the rules" promtool check rules "$TAP_DIR/rules.yml"
	tap_ok "each alert fires when it should" promtool test rules "$TAP_DIR/rules.yaml"
else
	tap_skip "the rules" "promtool is not installed"
fi

# The component, over an app of every kind.  Debian has no kubectl whose kustomize knows components.
built() {
	cp -r $kubernetes/component "$TAP_DIR" && mkdir -p "$TAP_DIR/app" && cp tests/packages/kubernetes/app/* "$TAP_DIR/app" &&
		kubectl kustomize "$TAP_DIR/app" >"$TAP_DIR/app.yaml"
}
if ! kubectl kustomize $kubernetes >"$TAP_DIR/all.yaml" 2>"$TAP_DIR/errors"; then
	tap_skip "the component" "there is no kubectl with kustomize 4.0 or later"
elif tap_ok "the component can be built" built && [ -d "$tools/node_modules" ]; then
	tests_of schemas.mjs "$TAP_DIR/app.yaml"
	tests_of component.mjs "$TAP_DIR/app.yaml" "$PWD/$kubernetes/component/pod.yaml"
fi
tap_done
