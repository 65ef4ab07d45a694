# What SECURITY.md promises of the program: what it may call, and that the password of a database is nowhere.
. "$(dirname "$0")/lib.sh"

# ---- it runs no other program, and loads nothing by name (the sanitizers' runtimes do)
if ! is_sanitized; then
  nm -D --undefined-only "$retort" >"$work/calls"
  called=$(sed 's/.* U //; s/@.*//' "$work/calls" |
    grep -xE 'system|popen|dlopen|dlmopen|fork|vfork|exec[a-z]*|fexecve|posix_spawn[a-z]*|mktemp|tmpnam|tempnam|tmpfile|gets' | sort | tr '\n' ' ')
  # Itself, after a crash; itself, from the live page.
  [ "$called" = "execv posix_spawn " ] || fail "the program may call: $called"
fi

# ---- a password in a URL: a server that asks for it
if start_postgres; then
  secret=Sesam%40oeffne/Dich  # as %40 and %2F in a URL
  url_secret=Sesam%2540oeffne%2FDich
  bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
  "$bin/psql" -q "$postgres" -c "ALTER USER retort PASSWORD '$secret'" || fail "the password cannot be set"
  echo 'local all all scram-sha-256' >"$work/pg/data/pg_hba.conf"
  kill -HUP "$server"
  between="postgresql://retort:$url_secret@/postgres?host=$work/pg&sslpassword=$url_secret"
  behind="postgresql://retort@/postgres?host=$work/pg&p%61ssword=$url_secret&sslpassword=$url_secret"
  until ! "$bin/psql" -q -w "$postgres" -c "SELECT 1" >/dev/null 2>&1; do sleep 0.1; done

  says_on_error() { [[ $err == *"$1"* ]] || fail "expected «$1» on standard error"; }
  everything=$work/everything
  mkdir "$everything"
  # keep NAME: what the last run said.
  keep() { cp "$work/out" "$everything/$1.out"; cp "$work/err" "$everything/$1.err"; }
  small_data "$work/idx"
  bad 1 "cannot be reached" study list "$postgres"
  search=(--data "idx:$work/idx" --teacher none --curriculum none --batch 16 --config '1,1,8,0' --quick-epochs 1
    --distill-epochs 1 --prune-update-every 2 --qat-epochs 1 --seeds 1 --time none --study mine)
  # The title while it runs; in the instant before its first line of code it is the shell's.
  "$retort" search "$everything/folder" "${search[@]}" --storage="$between" --json >"$everything/run.out" 2>"$everything/run.err" &
  searching=$!
  while kill -0 "$searching" 2>/dev/null; do
    [ ! -d "$everything/folder" ] || tr '\0' ' ' <"/proc/$searching/cmdline" >>"$everything/titles" 2>/dev/null
    sleep 0.05
  done
  wait "$searching" || fail "the search: $(cat "$everything/run.err")"
  card=$everything/folder/best/c/MODEL_CARD.md
  grep -q -e "--study mine" "$card" || fail "the model card has no command"
  ! grep -q storage "$card" || fail "the model card names the storage"
  grep -q "storage=postgresql://retort@/postgres" "$everything/titles" || fail "no title was seen"
  good search "$everything/folder" "${search[@]}" --storage "$behind"
  keep again
  good study list "$behind"
  good study list "$between" --json
  keep list
  good study export "$between" --study mine --tensorboard "$everything/events"
  keep events
  # Without --storage again, since this user's program wrote the folder; and who else's names a server is not believed.
  export PGPASSWORD=$secret
  good report "$everything/folder"
  good pick "$everything/folder"
  good study list "$everything/folder"
  mkdir "$work/theirs"
  cp "$everything/folder/storage.json" "$work/mine.json"
  sed 's/retort@/victim@/' "$work/mine.json" >"$work/theirs/storage.json"
  for command in report pick serve search "study list"; do
    bad 2 "if you trust that place, name it: --storage" $command "$work/theirs"
    says_on_error "victim@"
  done
  good report "$everything/folder" --storage "postgresql://retort@/postgres?host=$work/pg" --study mine
  unset PGPASSWORD
  # Words about what is wrong.
  run worker --data "idx:$work/idx" --storage "$between" --study none --patience 1s
  keep worker
  bad 2 "" search "$work/other" "${search[@]}" --storage "mysql://retort:$url_secret@host/db"
  keep kind
  bad 2 "" search "$work/other" "${search[@]}" --storage "postgresql://retort:$url_secret@host/db?nonsense=1"
  keep form
  bad 2 "" search "$work/other" --strange "$between"
  keep strange
  [ ! -e "$work/other" ] || fail "a refused storage has left a folder"
  # A form that only libpq's other functions take, and what is mistyped: no file of that name, and no word of it.
  for strange in "host=$work/pg user=retort password=$secret dbname=x" "postgresql:retort:$url_secret@h/db" \
    "postgresql://retort:p@$url_secret@h/db"; do
    bad 2 "the storage is n" search "$work/other" "${search[@]}" --storage "$strange"
    [ ! -e "$work/other" ] || fail "a refused storage has left a folder"
    keep refused
    bad 2 "the storage is n" study list "$strange"
    keep refused_list
    [ ! -e "$strange" ] || fail "a file has the name $strange"
  done
  bad 2 "have different passwords" search "$work/other" --storage "$between" --study "postgresql://a:other@b/c"
  keep two
  PGPASSWORD=$secret "$bin/pg_dump" "$postgres" >"$everything/dump.sql" || fail "no dump"
  [ "$(wc -l <"$everything/dump.sql")" -gt 100 ] || fail "the dump is empty"
  for form in "$secret" "$url_secret" Sesam; do
    found=$(grep -rlaF -e "$form" "$everything")
    [ -z "$found" ] || fail "the password is in $found"
  done
  # What is searched is where one would look.
  for file in folder/report.html folder/study.json run.out; do
    grep -qa "1 block, 1 layer, 8 filters" "$everything/$file" || fail "$file has no results"
  done
  stop_postgres
fi

# ---- a study's folder from elsewhere: links in it lead nowhere
small_data "$work/idx"
good search "$work/linked" --data "idx:$work/idx" --teacher none --curriculum none --batch 16 --config '1,1,8,0' --quick-epochs 1 \
  --distill-epochs 1 --prune-update-every 2 --qat-epochs 1 --seeds 1 --time none
echo precious >"$work/victim"
for file in report.html trials.csv study.json; do ln -sf "$work/victim" "$work/linked/$file"; done
good report "$work/linked"
[ "$(cat "$work/victim")" = precious ] || fail "report has written through a link"
[ -s "$work/linked/report.html" ] && [ ! -L "$work/linked/report.html" ] || fail "the link was not replaced"
model=$(cd "$work/linked" && ls trials/*/model.tflite | head -1)
mv "$work/linked/$model" "$work/private.tflite" && ln -s "$work/private.tflite" "$work/linked/$model"
bad 2 "model.tflite: is a link" pick "$work/linked" --flash 1M --out "$work/picked"
[ ! -e "$work/picked/model.tflite" ] || fail "pick has copied a file from outside of the study"
rm -rf "$work/linked/trials" && mkdir "$work/elsewhere" && ln -s "$work/elsewhere" "$work/linked/trials"
bad 2 "linked/trials: is a link" search "$work/linked"

# ---- a study whose table is a program without end
if command -v python3 >/dev/null; then
  mkdir "$work/endless"
  python3 - "$work/endless/study.db" <<'END'
import sqlite3, sys
file = sqlite3.connect(sys.argv[1])
file.execute("""CREATE VIEW studies AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)
                SELECT x AS study_id, 'retort'||x AS study_name FROM c""")
file.commit()
END
  for command in report pick "study list"; do
    bad 1 "has a view 'studies' where a study has tables alone" $command "$work/endless"
  done
fi
finish
