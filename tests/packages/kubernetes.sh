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

tap_is "the policy names this version" "$(grep -o 'spillway:[0-9][0-9.]*' $policy)" "spillway:$version"
if tests/packages/kubernetes/tools; then
	tests_of cases.mjs "$PWD/$policy"
	tests_of schemas.mjs "$PWD/$policy"
else
	tap_skip "the policy's expressions" "npm's packages cannot be had"
fi

# The component, over an app of every kind.  Debian has no kubectl whose kustomize knows components.
built() {
	cp -r $kubernetes/component "$TAP_DIR" && mkdir -p "$TAP_DIR/app" && cp tests/packages/kubernetes/app/* "$TAP_DIR/app" &&
		kubectl kustomize "$TAP_DIR/app" >"$TAP_DIR/app.yaml"
}
tap_is "the component names this version" "$(grep -rho 'spillway:[0-9][0-9.]*' $kubernetes/component)" "spillway:$version"
if ! kubectl kustomize $kubernetes >"$TAP_DIR/all.yaml" 2>"$TAP_DIR/errors"; then
	tap_skip "the component" "there is no kubectl with kustomize 4.0 or later"
elif tap_ok "the component can be built" built && [ -d "$tools/node_modules" ]; then
	tests_of schemas.mjs "$TAP_DIR/app.yaml"
	tests_of component.mjs "$TAP_DIR/app.yaml" "$PWD/$kubernetes/component/pod.yaml"
fi
tap_done
