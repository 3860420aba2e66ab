// Package policy decides who may do what with a proposed fix, on every
// transport alike.
//
// [Decide] is the one function: it looks at nothing but its argument. A
// [Keeper] finds out what it needs, from Slack where it must, and asks it for
// the engine: at the click, and again right before anything changes.
//
// People are told apart by what their transport says of them: in Slack by the
// member id, which Slack has authenticated; in a terminal by the name that was
// given, which nobody has. Two names at a terminal, or a name and a Slack
// member, are one person only when [People] says so. Where several people must
// agree a terminal is therefore best left out.
package policy
