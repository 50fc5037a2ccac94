# shellcheck shell=sh
# Sourced.  A plain user's PATH on Debian lacks the folders of depmod, modprobe, nginx, setcap, ldconfig;
# one that su passed on has folders that only root may look into, and a program that is nowhere else is
# then "not permitted" and not "not found".
path_usable() {
  local folder IFS=: usable=
  for folder in $PATH; do
    [ ! -x "$folder/." ] || usable=$usable:$folder
  done
  PATH=${usable#:}
}

path_usable
case :$PATH: in
*:/usr/sbin:*) ;;
*) PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" ;;
esac
export PATH
