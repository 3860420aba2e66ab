// Package ask turns what an operator typed into a commands.Question.
//
// The text goes through four stages, each a file or two:
//
//	normalise   Slack decorations, entities, width, quotes and controls
//	tokenise    names, addresses and dates apart from words with a meaning
//	classify    which kind of question the meanings add up to
//	fill        which name plays which role
//
// What words mean is data (vocabulary.go), and so is what combinations of
// meanings stand for (cues.go); a new way to say something is a new word in a
// table. English, simplified and traditional Chinese and Cantonese share the
// same meanings, so one set of cues serves them all.
//
// Every stage looks a bounded number of runes or tokens ahead, so the work
// grows with the length of the text and with nothing else.
package ask
