# Shortens `go test -v`. Of a package that passes it leaves the closing line, what was measured (lines
# with "figure:") and every skip with its reason, which is the last line that the test printed. Of one
# that fails it leaves everything. What a failed test said itself comes again right after its line, and all of
# them at the very end: records keep little more than what is behind the first "--- FAIL", or the end.

# So much of a failure is told again: tests of a package, things that a test said last, lines of each.
BEGIN { maxTests = 12; maxThings = 12; maxLines = 4 }

# said keeps what the running test said, and as many of the lines that follow as belong to it.
function said(text, lines) {
  if (++things[test] > maxThings) delete words[test, things[test] - maxThings]
  words[test, things[test]] = "    " substr(text, 1, 300) "\n"
  room = lines - 1
}
# own is what a test said.
function own(name,    i, all) {
  for (i = 1; i <= things[name]; i++) if ((name, i) in words) all = all words[name, i]
  return all
}
# tell appends a test to the list of failures.
function tell(name) {
  failures = failures "  " name "\n" own(name)
  delete things[name]
}
# everything prints what there is of a package.
function everything(    i, part) {
  for (i = 0; i < n; i++) {
    print lines[i]
    if (lines[i] ~ /^ *--- FAIL: /) { split(lines[i], part); printf "%s", own(part[3]) }
  }
}
# forget ends a package.
function forget() {
  n = fallen = room = 0; kept = test = died = ""
  split("", last); split("", words); split("", things); split("", fell)
}

{ lines[n++] = $0 }
/^(===|---|ok|FAIL|PASS)/ || /^ +(===|---) / { room = 0 }
/^ *=== (RUN|CONT|NAME) / { test = $3; next }
/^ *--- FAIL: / { fell[++fallen] = $3; next }
/^ *--- SKIP: / { sub(/^ */, ""); kept = kept $0 "\n" last[$3] "\n"; next }
/^ +[^ ]+\.go:[0-9]+: figure: / { sub(/^.*figure: /, "    "); kept = kept $0 "\n"; next }
/^ +[^ ]+\.go:[0-9]+: / { last[test] = $0; sub(/^ +/, ""); said($0, maxLines); next }
/^WARNING: DATA RACE/ { said($0, 14); next }
/^(panic|fatal error): / { died = test; said($0, 12); next }
/^[^ \t]+\.go:[0-9]+:[0-9]+: / { build = build "    " $0 "\n"; next }
/^(ok|\?)[ \t]/ { printf "%s", kept; print; forget(); next }
/^FAIL[ \t]/ {
  everything()
  failures = failures $0 "\n"
  for (i = 1; i <= fallen && i <= maxTests; i++) tell(fell[i])
  if (fallen > maxTests) failures = failures "  and " fallen - maxTests " more\n"
  if (died in things) tell(died) # of a test that takes too long it is not said that it failed
  if (/\[build failed\]/) { failures = failures build; build = "" }
  else if (!fallen && died == "") for (i = n > 6 ? n - 6 : 0; i < n - 1; i++) failures = failures "    " lines[i] "\n"
  failed = 1
  forget(); next
}
room > 0 && NF { room--; words[test, things[test]] = words[test, things[test]] "      " substr($0, 1, 300) "\n" }
END {
  everything()
  if (failed) printf "failed:\n%s", failures
  exit failed
}
