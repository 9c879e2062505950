# Shortens `go test -v`. Of a package that passes it leaves the closing line, what was measured (lines
# with "figure:") and every skip with its reason, which is the last line that the test printed. Of one
# that fails it leaves everything.
{ lines[n++] = $0 }
/^=== (RUN|CONT|NAME) / { test = $3 }
/^ +[^ ]+\.go:[0-9]+: / { last[test] = $0 }
/^ +[^ ]+\.go:[0-9]+: figure: / { sub(/^.*figure: /, "    "); kept = kept $0 "\n" }
/^ *--- SKIP: / { sub(/^ */, ""); kept = kept $0 "\n" last[$3] "\n" }
/^(ok|\?)[ \t]/ { printf "%s", kept; print; n = 0; kept = "" }
/^FAIL[ \t]/ { for (i = 0; i < n; i++) print lines[i]; n = 0; kept = ""; failed = 1 }
END { for (i = 0; i < n; i++) print lines[i]; exit failed }
