# need COMMAND PACKAGE: a command, installed by the name of its Debian package where it is missing.
need() {
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] || { echo "interop: $1 is missing: apt-get install $2" >&2; exit 1; }
  [ -n "${apt_updated:-}" ] || { apt-get update -qq && apt_updated=1; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}
