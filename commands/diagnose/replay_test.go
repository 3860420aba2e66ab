package diagnose_test

import (
	"path/filepath"
	"strings"
	"testing"

	"whybot/commands/commandstest"
	"whybot/commands/diagnose"
)

// replays are frames that were captured on a small cloud with real kernels, hop
// by hop, while one thing was wrong; each file names its recording. The trunk
// NICs were not recorded. In contrast to a diagnosis' own fixtures, all of them
// are judged by all diagnoses, the harmless and the undecidable too.
var replays = filepath.Join("testdata", "replays")

func TestReplays(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(replays, "*.txtar"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d replays, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			f, err := commandstest.Load(base, file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(f.Comment, "The frames of recording ") {
				t.Error("the replay does not name its recording")
			}
			a := f.Run(t, diagnose.All())
			diff := f.Diff(a)
			if len(diff) > 0 && *update {
				if err := f.Rewrite(commandstest.Lines(a)); err != nil {
					t.Fatal(err)
				}
			} else if len(diff) > 0 {
				t.Errorf("want (-), got (+):\n%s\nsummary: %s", strings.Join(diff, "\n"), a.Verdict.Summary)
			}
		})
	}
}
