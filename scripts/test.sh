#!/usr/bin/env bash
# Runs the tests; arguments go to go test.
#
# The kernel lab (internal/lab) builds a small cloud out of network namespaces
# and a real sshd. It needs root on Debian, or on a relative that has apt. There
# the tools are installed first and a lab that cannot start fails the tests.
# Elsewhere its tests are skipped, and this script says so: a green run without
# them proves less. WHYBOT_REQUIRE_LAB=1 turns that into a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

# Says why the lab cannot run here; says nothing when it can.
obstacle() {
	[ "$(uname -s)" = Linux ] || { echo "it needs Linux, this is $(uname -s)"; return; }
	command -v apt-get >/dev/null || { echo "it installs its tools with apt-get, which is not here"; return; }
	[ "$(id -u)" = 0 ] || { echo "it needs root, this is $(id -un)"; return; }
	unshare --net --mount true 2>/dev/null || echo "this root may not make network namespaces (a container without CAP_SYS_ADMIN?)"
}

obstacle=$(obstacle)
if [ -n "$obstacle" ] && [ "${WHYBOT_REQUIRE_LAB:-}" != 1 ]; then
	unset WHYBOT_REQUIRE_LAB
	echo "SKIPPED: the tests with a real kernel, because $obstacle:"
	grep -rhoE --include='*_test.go' '^func TestKernel[A-Za-z0-9_]*' . | sed 's/^func /  /' | sort || true
	echo "A test that misses another tool, such as sshd, is skipped too and says so (-v)."
	echo "Run them with: sudo make test (on Debian)."
	echo
	exec go test "$@" ./...
fi
if [ -n "$obstacle" ]; then
	echo "WHYBOT_REQUIRE_LAB=1, but the lab cannot run: $obstacle" >&2
	exit 1
fi
internal/lab/install-tools.sh
# The lab waits for guests and timers; on a slow machine longer than go test does.
WHYBOT_REQUIRE_LAB=1 exec go test -timeout 25m "$@" ./...
