# shellcheck shell=sh
# Sourced: a plain user's PATH on Debian lacks the folders of depmod, modprobe, nginx, setcap, ldconfig.
case :$PATH: in
*:/usr/sbin:*) ;;
*) export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" ;;
esac
