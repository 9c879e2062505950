# Shortens `go test -v`: of a package that passes it leaves the closing line and every skip with its
# reason, which is the last line that the test printed; of one that fails, everything.
{ lines[n++] = $0 }
/^=== (RUN|CONT|NAME) / { test = $3 }
/^ +[^ ]+\.go:[0-9]+: / { last[test] = $0 }
/^ *--- SKIP: / { sub(/^ */, ""); skips = skips $0 "\n" last[$3] "\n" }
/^(ok|\?)[ \t]/ { printf "%s", skips; print; n = 0; skips = "" }
/^FAIL[ \t]/ { for (i = 0; i < n; i++) print lines[i]; n = 0; skips = ""; failed = 1 }
END { for (i = 0; i < n; i++) print lines[i]; exit failed }
