# Reads one program's TAP and judges it; writes one record a line, fields parted by tabs:
#   pass NAME | fail NAME | skip NAME REASON
# Variables: program; status, the exit status; ended=0 when the program never got to end.
#
# Every test counts once.  A program that passed no judgement on itself counts as one failure more:
# no plan, a plan not kept, a bad exit status although no test failed.  cmocka writes one plan per
# group, and "not ok N # SKIP name" without a reason; a test that prints "# reason: ..." has one.

function record(kind, name, reason) {
	gsub(/\t/, " ", name)
	gsub(/\t/, " ", reason)
	count[kind]++
	print kind "\t" name "\t" reason
}

function test(passed, line,    name, at, reason) {
	done++
	sub(/^(not )?ok[ \t]*[0-9]*[ \t]*(- )?/, "", line)
	at = match(toupper(line), /#[ \t]*SKIP[A-Z]*/)
	if (at == 0) {
		record(passed ? "pass" : "fail", line)
		return
	}
	name = substr(line, 1, at - 1)
	reason = substr(line, at + RLENGTH)
	gsub(/^[ \t]+|[ \t]+$/, "", name)
	gsub(/^[ \t]+|[ \t]+$/, "", reason)
	if (name == "") {
		name = reason
		reason = comment
	}
	record("skip", name, reason == "" ? "no reason given" : reason)
}

{ sub(/\r$/, "") }
/^1\.\.[0-9]+/ {
	plans++
	line = $0
	sub(/^1\.\./, "", line)
	planned += line + 0
	if (line + 0 == 0 && match(toupper(line), /#[ \t]*SKIP[A-Z]*/))
		record("skip", "all of it", substr(line, RSTART + RLENGTH + 1))
	next
}
/^ok([ \t]|$)/ { test(1, $0); comment = ""; next }
/^not ok([ \t]|$)/ { test(0, $0); comment = ""; next }
/^Bail out!/ { record("fail", $0); next }
/^# *reason: / { comment = $0; sub(/^# *reason: */, "", comment) }

END {
	if (!ended)
		record("fail", "did not end")
	else if (status == 124 || status == 137)
		record("fail", "was still running when its time was up, or was killed (status " status ")")
	else if (plans == 0)
		record("fail", "printed no plan (status " status ")")
	else if (done != planned)
		record("fail", "ran " done + 0 " of " planned " tests (status " status ")")
	else if (status != 0 && count["fail"] == 0)
		record("fail", "exited with status " status " although no test failed")
}
