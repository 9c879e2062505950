# Shortens `go test -v`: of a package that passes it leaves the closing line and every skip with its
# reason; of one that fails, everything.
{ lines[n++] = $0 }
/^[ \t]*--- SKIP/ { skips = skips lines[n - 2] "\n" $0 "\n" }
/^(ok|\?)[ \t]/ || /^[ \t]+[^ \t]+[ \t]+coverage:/ { printf "%s", skips; print; n = 0; skips = "" }
/^FAIL[ \t]/ { for (i = 0; i < n; i++) print lines[i]; n = 0; skips = ""; failed = 1 }
END { for (i = 0; i < n; i++) print lines[i]; exit failed }
