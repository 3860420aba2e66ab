// Package diagnose holds whybot's diagnoses: one file for each, or one for a
// tight family that shares a reading. A file registers its diagnoses at
// package initialisation and names the fixes it suggests; nothing else has to
// be edited to add one. Fixtures lie in testdata/<ID>/.
package diagnose
