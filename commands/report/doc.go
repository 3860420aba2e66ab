// Package report writes answers, proposals and timelines for a person at a
// terminal and, as JSON, for programs. It only renders: what is true and
// what is offered was decided before.
package report
