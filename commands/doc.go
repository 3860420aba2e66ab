// Package commands is what whybot knows about operating a cloud: questions,
// paths, diagnoses, findings, verdicts, fixes and incidents, and the Engine
// that turns the first into the last.
//
// It describes what is done, never how: the how is in runners (looking),
// store (remembering) and bot (talking). A diagnosis lives in
// commands/diagnose, a fix in commands/fix; the readings they rest on are
// parsed by the leaf packages commands/node, commands/netfilter and
// commands/capture.
package commands
