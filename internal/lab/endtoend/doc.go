// Package endtoend tests the built whybot from outside, as an operator meets
// it: by its command line, its exit codes, its text and its JSON, against the
// kernel lab. Its tests stand for what goes wrong around the question itself:
// nodes that cannot be reached or read, questions that cannot be answered, two
// people at once, a whybot that is killed half-way. BenchmarkVerdict says how
// long answers take.
//
// What whybot says of each fault, and whether its fixes cure them, is measured
// by package accuracy.
package endtoend
