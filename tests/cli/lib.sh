# What the scripts share. Each is called with the program as its first argument and sources this file.
set -u
retort=$1
work=$(mktemp -d)
# A signal that meets a child of this shell before it has become a program runs the trap there too.
trap 'if [ "$BASHPID" = "$$" ]; then rm -rf "$work"; fi' EXIT
export RETORT_CACHE=$work/cache NO_COLOR=1 LC_ALL=C.UTF-8
failures=0

fail() {
  echo "FAILED: $*" >&2
  echo "  exit code ${code-}" >&2
  [ -s "$work/out" ] && sed 's/^/  out: /' "$work/out" | head -n 20 >&2
  [ -s "$work/err" ] && sed 's/^/  err: /' "$work/err" | head -n 20 >&2
  failures=$((failures + 1))
}

# Whether a sanitizer's runtime is in the program.
is_sanitized() { nm -D "$retort" 2>/dev/null | grep -q '__[at]san_'; }

# run ARGUMENTS…: the exit code in $code, standard output and error in $out and $err.
run() {
  code=0
  "$retort" "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
  out=$(cat "$work/out")
  err=$(cat "$work/err")
}

# good ARGUMENTS…: must end with 0.
good() {
  run "$@"
  [ "$code" = 0 ] || fail "retort $*"
}

# bad CODE SENTENCE ARGUMENTS…: must end with CODE, nothing on standard output, and "retort: …SENTENCE…" as the last
# line on standard error.
bad() {
  local expected=$1 sentence=$2
  shift 2
  run "$@"
  local last=${err##*$'\n'}
  if [ "$code" != "$expected" ]; then
    fail "retort $*: expected exit code $expected"
  elif [ -n "$out" ]; then
    fail "retort $*: words on standard output"
  elif [[ $last != "retort: "*"$sentence"* ]]; then
    fail "retort $*: expected «$sentence»"
  fi
}

# says TEXT: standard output of the last run contains it.
says() {
  [[ $out == *"$1"* ]] || fail "expected «$1» on standard output"
}

# field NAME: the number or string of a top-level JSON field on standard output of the last run.
field() {
  printf '%s\n' "$out" | sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1
}

# start_postgres [COMMAND…]: a server of its own in $work/pg, run by COMMAND, that accepts connections at $postgres; its
# process is $server. 1 where none is installed, with words that say so.
start_postgres() {
  local bin unprivileged=()
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
  if [ -z "$bin" ]; then
    echo "PostgreSQL: skipped, no server is installed: apt-get install postgresql"
    return 1
  fi
  if [ "$(id -u)" = 0 ]; then unprivileged=(setpriv --reuid=nobody --regid=nogroup --clear-groups); fi
  mkdir "$work/pg"
  chmod 755 "$work"
  [ "$(id -u)" != 0 ] || chown nobody "$work/pg"
  "${unprivileged[@]}" "$bin/initdb" -D "$work/pg/data" -A trust -U retort --no-sync >/dev/null
  # After setpriv, so that what COMMAND preloads is not root's.
  "${unprivileged[@]}" "$@" "$bin/postgres" -D "$work/pg/data" -k "$work/pg" -c listen_addresses= >"$work/server" 2>&1 &
  server=$!
  until "$bin/pg_isready" -q -h "$work/pg" || ! kill -0 "$server" 2>/dev/null; do sleep 0.1; done
  kill -0 "$server" || fail "no server runs: $(cat "$work/server")"
  postgres="postgresql://retort@/postgres?host=$work/pg"
}
stop_postgres() {
  kill -INT "$server"
  wait "$server"
}

# Bytes of a 32-bit number, big endian, as printf escapes.
big_endian() {
  printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255))
}

# write_idx PREFIX COUNT: PREFIX-images-idx3-ubyte and PREFIX-labels-idx1-ubyte with COUNT grey 8×8 images of four
# classes, in noise: rows, columns, a chequerboard, nothing.
write_idx() {
  local prefix=$1 count=$2 i y x class value
  local images labels
  images=$(big_endian 2051)$(big_endian "$count")$(big_endian 8)$(big_endian 8)
  labels=$(big_endian 2049)$(big_endian "$count")
  local -a bright=('y % 2' 'x % 2' '(x + y) % 2' '0')
  RANDOM=7
  [[ $prefix == *t10k ]] && RANDOM=8  # else the first training images would be the test images
  for ((i = 0; i < count; ++i)); do
    class=$((i % 4))
    printf -v value '\\x%02x' $class
    labels+=$value
    for ((y = 0; y < 8; ++y)); do
      for ((x = 0; x < 8; ++x)); do
        value=$((RANDOM % 90))
        if ((${bright[class]})); then value=$((value + 120)); fi
        printf -v value '\\x%02x' $value
        images+=$value
      done
    done
  done
  printf '%b' "$images" >"$prefix-images-idx3-ubyte"
  printf '%b' "$labels" >"$prefix-labels-idx1-ubyte"
}

# small_data DIR: 240 images to train on, 80 to test on; use it as idx:DIR.
small_data() {
  mkdir -p "$1"
  write_idx "$1/train" 240
  write_idx "$1/t10k" 80
}

# essence FOLDER: what must not depend on time, workers or faults, of a search with --seeds 2.
essence() {
  grep -vE '"(seconds|logits_seconds|threads|command)":' "$1/study.json"
  for file in "$1"/trials/*/model.tflite "$1"/trials/*/seed-43/model.tflite "$1/best/model.tflite"; do sha256sum <"$file"; done
}

# The end of each script.
finish() {
  if [ "$failures" != 0 ]; then
    echo "$failures checks failed" >&2
    exit 1
  fi
  echo "all checks passed"
}
