// Package store remembers incidents, their timeline, proposals and deliveries
// in one bbolt file. It implements commands.Memory and commands.Deliveries.
//
// # Writing
//
// One goroutine writes. It takes whatever is queued, applies it in one
// transaction, syncs once, and answers everybody: group commit without a
// timer, so that a lone writer waits for nobody and a hundred share one sync.
// Whatever was answered with nil survives a power failure. A closure that
// fails leaves the rest of its batch alone; it is called at most once, in that
// goroutine, and must not call the store.
//
// A context that is done before its write begins changes nothing. When it ends
// while the write is being committed, the error matches both the context's
// error and ErrOutcomeUnknown: read back before doing anything again. No
// closure is running any more when its call has returned.
//
// # Failing
//
// When a transaction cannot be written (a full disk, say), everyone in it gets
// an error that says so, nothing has changed, reads go on, and writes work again
// once the cause is gone. When even that is uncertain, because the sync of the
// last page failed, the store refuses every further write until it is opened
// again.
//
// # Damage
//
// Opening always checks the file's header, its list of free pages and the
// pages of the root and meta buckets, by plain reads within the file. All
// other pages are checked in the same way when the file was not closed
// properly or Options.Check asks for it: page types, ranges, order of keys, no
// page used twice. That check cannot hang or crash and gives up, with a
// warning, at Options.CheckTimeout.
//
// What it does not see is damage inside keys and values that leaves the
// structure intact. Events carry a hash and other records a checksum, and
// both are checked whenever they are read; VerifyChain reads every event,
// incident and proposal and looks for its entry in every index. A delivery key has no checksum: damage there
// can make a repeated delivery look like a first one. Damage that comes while
// the file is open, or to a file that was closed properly and is opened
// without Options.Check, is an error of the call that meets it, except for a
// cycle of pages, on which bbolt ends the process.
//
// # Layout
//
// Records are JSON behind a checksum. The indexes have keys of a fixed length:
// a hash of what is looked for, the time, the number of the record. The newest
// events of an entity are therefore one short walk backwards, however many
// events there are.
package store
