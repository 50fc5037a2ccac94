#!/bin/bash
# The man pages and completions know what the programs say they can, and every example can be run.
# kernels: none
. "$(dirname "$0")/../support/system.sh"
spillctl=$BUILD/bin/spillctl
pages=$TAP_DIR/pages
socket=$TAP_DIR/app.sock
mkdir "$pages"
cp packaging/man/*.[0-9] "$pages"
packaging/man/ini README.md >"$pages/spillway.ini.5"

mapfile -t commands < <("$spillctl" --help | sed -n 's/^  \([a-z][a-z, ]*\)\( [A-Z[].*\|  .*\)$/\1/p' |
  sed 's/  .*//' | tr -d ',' | tr ' ' '\n' | grep -v '^$')
tap_ok "spillctl has commands" test ${#commands[@]} -ge 11

missing() { # FILE WORDS...
  local file=$1 word
  shift
  for word; do
    grep -qE -- "(^|[^a-z_]|f[BR])$word([^a-z_]|\$)" "$file" || echo "$word"
  done
}

for file in packaging/man/spillctl.1 packaging/completions/*; do
  tap_is "$file has every command" "$(missing "$file" "${commands[@]}")" ""
done
mapfile -t options < <({ "$spillway" --help && "$spillway" --help-all; } | grep -oE '(^|[ ,])--[a-z-]+' | tr -d ' ,' | sort -u)
tap_is "spillway(1) has every option" \
  "$(for option in "${options[@]#--}"; do grep -q "Fl -*$option" packaging/man/spillway.1 || echo "$option"; done)" ""
mapfile -t keys < <(sed -n '/^### `\[supervisor\]/,/^## /s/^| `\([a-z_]*\)`.*/\1/p' README.md)
tap_ok "there are keys" test ${#keys[@]} -ge 40
tap_is "spillway.ini(5) has every key" "$(missing "$pages/spillway.ini.5" "${keys[@]}")" ""
if command -v mandoc >/dev/null; then
  tap_is "mandoc has nothing to complain of" \
    "$(mandoc -T lint -W warning "$pages"/* 2>&1 | grep -v 'STYLE: \(referenced manual\|input text\)')" ""
else
  tap_skip "mandoc has nothing to complain of" "mandoc is not installed"
fi
# The examples between .Bd and .Ed.
examples() {
  awk '/^\.Bd/ { inside = 1; next } /^\.Ed/ { inside = 0 } inside' "$1"
}
examples packaging/man/spillway.1 | sed -n '/^\[/,$p' >"$TAP_DIR/example.ini"
tap_ok "the example of spillway(1) is right" "$spillway" check "$TAP_DIR/example.ini"

cat >"$TAP_DIR/app.ini" <<END
[supervisor]
control = $socket
[service:web]
command = sleep 1000
[service:worker]
command = sleep 1000
END
"$spillway" run "$TAP_DIR/app.ini" >"$TAP_DIR/out" 2>"$TAP_DIR/log" &
supervisor=$!
at_exit_kill "$supervisor"
wait_until 60 test -S "$socket"
while IFS= read -r example; do
  case $example in
  spillctl*) tap_ok "$example" env SPILLWAY_SOCKET="$socket" PATH="$BUILD/bin:$PATH" sh -c "$example" ;;
  curl*)
    command -v curl >/dev/null || { tap_skip "$example" "curl is not installed"; continue; }
    tap_ok "$example" sh -c "${example//\/run\/spillway\/app.sock/$socket} --fail-with-body -s"
    ;;
  esac
done < <(
  examples packaging/man/spillctl.1
  sed -n 's/^\$ \(spillctl .*\)/\1/p; s/.*`\(curl --unix-socket [^`]*\)`.*/\1/p' README.md
)

# The programs: what stands between ```c and ``` is compiled, and the one of spillway.h(3) is run, too.
# shellcheck disable=SC2016
sed -n '/^```c$/,/^```$/{/^```/!p}' README.md >"$TAP_DIR/readme.c"
examples packaging/man/spillway.h.3 | sed 's/\\e/\\/g' >"$TAP_DIR/page.c"
compile() {
  "${CC:-cc}" -std=gnu11 -Wall -Wextra -Werror -Ishim "$@" >&2
}
tap_ok "the README's program can be compiled" compile -c -o "$TAP_DIR/readme.o" "$TAP_DIR/readme.c"
tap_ok "the one of spillway.h(3), too" compile -o "$TAP_DIR/page" "$TAP_DIR/page.c"
tap_ok "preloaded, it says what it is to say" \
  sh -c "LD_PRELOAD='$BUILD/lib/libspillway.so' '$TAP_DIR/page' | grep -qx 'idle [0-9]*, returned [0-9]*'"
"$TAP_DIR/page" >&2
tap_is "without the library it ends as it says" $? 1
while IFS= read -r example; do
  tap_ok "$example" sh -c "${example/libspillway.so/$BUILD/lib/libspillway.so} 2>'$TAP_DIR/err'"
  tap_is "and nothing is said" "$(cat "$TAP_DIR/err")" ""
done < <(examples packaging/man/libspillway.7)
mapfile -t variables < <(sed -n '/^## The allocator alone/,/^## For/s/^| `\(SPILLWAY_[A-Z_]*\)`.*/\1/p' README.md)
tap_ok "the library has variables" test ${#variables[@]} -ge 7
tap_is "libspillway(7) has every one" "$(missing packaging/man/libspillway.7 "${variables[@]}")" ""
mapfile -t functions < <(sed -n 's/.*\b\(spillway_[a-z_]*\)(.*SPILLWAY_WEAK;/\1/p' shim/spillway.h)
tap_is "spillway.h(3) has every function" "$(missing packaging/man/spillway.h.3 "${functions[@]}")" ""
for program in "$spillway" "$spillctl"; do
  tap_ok "the help of ${program##*/} fits 80 columns" test "$("$program" --help | wc -L)" -le 80
done

tap_ok "as does all of spillway's" test "$("$spillway" --help-all | wc -L)" -le 80
tap_ok "spillway's fits a screen" test "$("$spillway" --help | wc -l)" -le 24
tap_is "and says nothing that all of it does not" "$(comm -23 \
  <("$spillway" --help | grep -oE '(^|[ ,])--?[a-z-]+' | tr -d ' ,' | sort -u) \
  <("$spillway" --help-all | grep -oE '(^|[ ,])--?[a-z-]+' | tr -d ' ,' | sort -u))" ""

# completes WORDS...: what the last of them could become.
completes() {
  local line="$spillctl $*"
  COMP_LINE=${line// = /=} bash -c '
    . packaging/completions/spillctl.bash
    COMP_WORDBREAKS="=:" COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _spillctl
    echo "${COMPREPLY[@]}"
  ' bash "$spillctl" "$@" 2>&1
}
tap_is "a command is completed" "$(completes sta)" "status start"
tap_is "and its services" "$(completes --socket="$socket" stop w)" "web worker"
tap_is "those of the socket that is named" "$(completes --socket="$TAP_DIR/none" stop w)" ""
tap_is "and its options" "$(completes release --l)" "--level=lazy --level=eager --level=full"
tap_is "a level behind the sign" "$(completes release --level = f)" "full"
tap_is "a signal behind the service" "$(completes signal web HU)" "HUP"
for shell in zsh fish; do
  file=packaging/completions/$([ $shell = zsh ] && echo _spillctl || echo spillctl.fish)
  if command -v $shell >/dev/null; then
    tap_ok "$shell can read $file" $shell -n "$file"
  else
    tap_skip "$shell can read $file" "$shell is not installed"
  fi
done
kill "$supervisor"
wait "$supervisor"
tap_done
