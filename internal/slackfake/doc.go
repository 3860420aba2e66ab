// Package slackfake is a strict stand-in for Slack that runs in the test process.
//
// It speaks what Slack speaks (Web API over HTTP, Socket Mode over WebSocket, signed HTTP deliveries, response URLs)
// and refuses what Slack refuses: missing scopes, channels the bot is not in, blocks over their limits, used-up
// triggers and response URLs. What Slack accepts but a person would suffer from (a message that screen readers cannot
// read, a reused block_id, an acknowledgement that is silently dropped) is kept as a [Violation] for tests to assert
// that there is none.
//
// The package deliberately uses no Slack SDK, so that it and the product cannot be wrong together. Time comes from an
// injected [Clock]: with a [ManualClock] redelivery after five minutes takes no time. The one exception is the
// WebSocket keep-alive, which guards a real connection and therefore runs on real time.
package slackfake
