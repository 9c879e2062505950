#!/bin/sh
# Opens and cancels video consultations for a scheduling system, with curl alone.
#
#   schedule.sh open   EXTERNAL_ID START ROLE:REF:NAME…   prints role, participant id and link of each
#   schedule.sh revoke EXTERNAL_ID PARTICIPANT_ID         withdraws one link
#   schedule.sh cancel EXTERNAL_ID
#
# VIDEO_URL is the server, such as https://video.example, and VIDEO_KEY an API key. START is like
# 2026-12-01T09:30:00Z. The same "open" again prints the same links.
set -eu

fail() { printf 'schedule.sh: %s\n' "$1" >&2; exit 1; }

# call METHOD PATH [curl option…] sends its standard input and sets $answer. Neither the key nor names
# become arguments of a process, where everybody on the machine would see them.
call() {
  method=$1 path=$2; shift 2
  answer=$(curl --silent --show-error --max-time 20 --retry 3 --request "$method" --write-out '\n%{http_code}' \
    --header 'Content-Type: application/json' --header @/dev/fd/3 "$@" "$VIDEO_URL/v1/consultations$path" 3<<END
Authorization: Bearer $VIDEO_KEY
END
  ) || fail 'the server cannot be reached'
  case $(printf %s "$answer" | tail -n 1) in
    2??) ;;
    *) fail "$(text code): $(text detail) $(text message)" ;;
  esac
}

# text NAME prints the answer's strings of that name, one a line; quote TEXT writes one as JSON.
text() {
  printf %s "$answer" | sed 's/[,{]"/\
"/g' | sed -n "s/^\"$1\":\"\(.*\)\"[]}]*\$/\1/p"
}
quote() { printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"; }

# find EXTERNAL_ID sets $id.
find() {
  call GET '' --get --data-urlencode "external_id=$1" </dev/null
  id=$(text id | head -n 1)
  [ -n "$id" ] || fail "there is no consultation with this external id"
}

case ${1:-} in
  open)
    [ $# -ge 4 ] || fail 'open EXTERNAL_ID START ROLE:REF:NAME…'
    external=$(quote "$2") start=$(quote "$3") people=
    shift 3
    for person; do
      rest=${person#*:}
      people="$people${people:+, }{\"role\": $(quote "${person%%:*}"), \"ref\": $(quote "${rest%%:*}"), \"display\": $(quote "${rest#*:}")}"
    done
    call POST '' --data-binary @- <<END
{"external_id": $external, "start": $start, "participants": [$people]}
END
    printf %s "$answer" | tr '{' '\n' | sed -n 's/.*"id":"\(p_[^"]*\)".*"role":"\([a-z]*\)".*"join_url":"\([^"]*\)".*/\2 \1 \3/p'
    ;;
  revoke) find "$2" && call DELETE "/$id/participants/$3" </dev/null ;;
  cancel) find "$2" && call DELETE "/$id" </dev/null ;;
  *) fail 'open, revoke or cancel' ;;
esac
