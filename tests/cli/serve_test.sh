# The live page: what it refuses, that it is served beside a search and without one, that it stops a search and has it go on.
. "$(dirname "$0")/lib.sh"
small_data "$work/idx"
token=0123456789abcdef0123
search=(--data "idx:$work/idx" --teacher none --curriculum none --batch 16 --workers 1 --config '1,2,12,0' --quick-epochs 2
  --prune-update-every 2 --qat-epochs 2 --seeds 1 --time none)

# http PORT METHOD PATH [HEADER…]: the answer in $answer.
http() {
  local port=$1 method=$2 path=$3
  shift 3
  exec 3<>"/dev/tcp/127.0.0.1/$port" || { answer=; return; }
  {
    printf '%s %s HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n' "$method" "$path" "$port"
    [ "$method" = POST ] && printf 'Content-Length: 0\r\n'
    [ "$#" = 0 ] || printf '%s\r\n' "$@"
    printf '\r\n'
  } >&3
  answer=$(tr -d '\0' <&3)
  exec 3>&-
}

# wait_until COMMAND…: until it succeeds, some minutes at most.
wait_until() {
  local tries
  for ((tries = 0; tries < 6000; ++tries)); do
    "$@" && return
    sleep 0.05
  done
  fail "never: $*"
}

# background NAME ARGUMENTS…: its process in $pid, what it says in $work/NAME.
background() {
  local name=$1
  shift
  RETORT_TOKEN=$token "$retort" "$@" >"$work/$name" 2>&1 </dev/null &
  pid=$!
}
# The port that is named in the file $work/NAME.
port_in() { sed -n 's|.*http://127.0.0.1:\([0-9]*\)/.*|\1|p' "$work/$1" | head -n 1; }
has_port() { [ -n "$(port_in "$1")" ]; }
page_says() {
  http "$port" GET "$1" "Authorization: Bearer $token"
  [[ $answer == *"$2"* ]]
}

# ---- what is refused
bad 2 "others reach this address" serve "$work/study" --listen 0.0.0.0:0
bad 2 "others reach this address" serve "$work/study" --listen 0.0.0.0:0 --control
bad 2 '--listen: "example.org:80" is no address' serve "$work/study" --listen example.org:80
bad 2 '--listen: "127.0.0.1:99999" is no address' serve "$work/study" --listen 127.0.0.1:99999
bad 2 '--listen: "::1" is no address' serve "$work/study" --listen ::1
bad 2 "cannot be read" serve "$work/study" --listen 127.0.0.1:0 --token-file "$work/none"
: >"$work/empty"
bad 2 "holds no token" serve "$work/study" --listen 127.0.0.1:0 --token-file "$work/empty"
echo short >"$work/short"
bad 2 "the token has 5 characters" serve "$work/study" --listen 127.0.0.1:0 --token-file "$work/short"
bad 2 "it is for a study that several machines share" serve "$work/study" --study x
bad 2 "--serve is not given" search "$work/study" "${search[@]}" --serve-control
bad 2 '--serve: "nowhere" is no address' search "$work/study" "${search[@]}" --serve nowhere
bad 2 "holds no search that could go on: a new one needs --data" search "$work/study"

# ---- beside a search
background search search "$work/study" "${search[@]}" --distill-epochs 100000 --serve 127.0.0.1:0 --serve-control
searching=$pid
wait_until has_port search
port=$(port_in search)
wait_until page_says / "Running"
http "$port" GET /
[[ $answer == *"401 Unauthorized"* && $answer != *"1 block"* ]] || fail "shown without the token"
bad 2 "port $port" serve "$work/study" --listen "127.0.0.1:$port"

# ---- in another process, which stops it and has it go on
background serve serve "$work/study" --listen 127.0.0.1:0 --control
serving=$pid
wait_until has_port serve
port=$(port_in serve)
wait_until page_says / "Stop the search"
http "$port" POST /stop "Authorization: Bearer $token" "Origin: http://evil.example"
[[ $answer == *"403 "* ]] || fail "another site's page stops it"
http "$port" POST /stop "Authorization: Bearer $token"
[[ $answer == *"303 "* ]] || fail "not stopped: $answer"
code=0
wait "$searching" || code=$?
[ "$code" = 130 ] || fail "a search that was stopped ends with $code: $(cat "$work/search")"
wait_until page_says / "Resume the search"
bad 2 "--seed is without effect: without --data the search in $work/study goes on as it was begun" search "$work/study" --seed 7
http "$port" POST /resume "Authorization: Bearer $token"
wait_until page_says / "Stop the search"
[ -e "$work/study/search.log" ] || fail "the search that goes on has no log"
http "$port" POST /stop "Authorization: Bearer $token"
wait_until page_says / "Resume the search"

# ---- it ends at once; what cannot go on is told of
kill -TERM "$serving"
code=0
wait "$serving" || code=$?
[ "$code" = 0 ] || fail "retort serve ends with $code: $(cat "$work/serve")"
mv "$work/idx" "$work/moved"
background again serve "$work/study" --listen 127.0.0.1:0 --control
serving=$pid
wait_until has_port again
port=$(port_in again)
wait_until page_says / "Resume the search"
http "$port" POST /resume "Authorization: Bearer $token"
wait_until page_says / "ended with code 2: retort:"
kill -TERM "$serving"
wait "$serving"

# ---- a token of its own
unset RETORT_TOKEN
"$retort" serve "$work/study" --listen 127.0.0.1:0 --control >"$work/own" 2>&1 </dev/null &
serving=$!
wait_until has_port own
token=$(sed -n 's|.*/#token=\([0-9a-f]*\) .*|\1|p' "$work/own")
[ "${#token}" = 32 ] || fail "no token is shown: $(cat "$work/own")"
port=$(port_in own)
wait_until page_says / "Resume the search"
kill -TERM "$serving"
wait "$serving"
finish
