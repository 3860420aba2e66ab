package fix_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"whybot/commands"
	"whybot/commands/fix"
	"whybot/runners"
)

const dhcpAgent = "neutron-dhcp-agent"

func unitText(load, active, pid string) string {
	return fmt.Sprintf("MainPID=%s\nId=x.service\nLoadState=%s\nActiveState=%s\nSubState=x\n", pid, load, active)
}

// newMachineRunning is a machine whose DHCP agent's service looks so.
func newMachineRunning(load, active, pid string) *machine {
	m := newMachine()
	m.outputs["agent-units"] = runners.Output{Stdout: unitText(load, active, pid) + "\n" + unitText("loaded", "active", "7")}
	return m
}

func TestPlanAgents(t *testing.T) {
	for _, c := range []struct {
		name         string
		fix          *commands.Fix
		load, active string
		pid          string
		code         commands.Code // empty when it can be planned
		says         string
	}{
		{"start what is dead", fix.StartAgent, "loaded", "failed", "0", "", "start-unit"},
		{"start what was stopped", fix.StartAgent, "loaded", "inactive", "0", "", "start-unit"},
		{"start what runs", fix.StartAgent, "loaded", "active", "12", commands.CodeInvalid, "runs on controller01 already"},
		{"start what crashes again and again", fix.StartAgent, "loaded", "activating", "0", commands.CodeInvalid, "by itself (x)"},
		{"start a container", fix.StartAgent, "not-found", "inactive", "0", commands.CodeMissing, "has no service neutron-dhcp-agent"},
		{"start what is masked", fix.StartAgent, "masked", "inactive", "0", commands.CodeMissing, "has no service"},
		{"restart what runs", fix.RestartAgent, "loaded", "active", "12", "", "restart-unit"},
		{"restart what is dead", fix.RestartAgent, "loaded", "failed", "0", commands.CodeInvalid, "does not run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pass := passOver(t, newMachineRunning(c.load, c.active, c.pid), newCloud())
			s := commands.Suggestion{Fix: c.fix, Node: controller, Args: map[string]string{"unit": dhcpAgent}}
			steps, err := c.fix.Plan(pass, s)
			if c.code != "" {
				refusal(t, err, c.code, c.says)
				return
			}
			if err != nil || len(steps) != 1 || steps[0].Kind != c.says || steps[0].Node != controller || steps[0].Args["unit"] != dhcpAgent {
				t.Errorf("%+v, %v", steps, err)
			}
			if lines := c.fix.Touches(pass, s); len(lines) != 1 || !strings.Contains(lines[0], controller) {
				t.Errorf("touches %q", lines)
			}
		})
	}
	_, err := fix.StartAgent.Plan(passOver(t, newMachineRunning("loaded", "activating", "0"), newCloud()),
		commands.Suggestion{Node: controller, Args: map[string]string{"unit": dhcpAgent}})
	var refused *commands.Error
	if !errors.As(err, &refused) || !strings.Contains(refused.Hint, "journalctl -u "+dhcpAgent) {
		t.Errorf("a unit that crashes is refused by %v", err)
	}
	m := newMachine()
	m.outputs["agent-units"] = runners.Output{ExitCode: 1, Stderr: "System has not been booted with systemd"}
	_, err = fix.StartAgent.Plan(passOver(t, m, newCloud()), commands.Suggestion{Node: controller, Args: map[string]string{"unit": dhcpAgent}})
	refusal(t, err, commands.CodeOutside, "could not be read")
}

func TestUnitStates(t *testing.T) {
	for _, c := range []struct {
		kind, load, active, pid string
		want                    commands.StepState
	}{
		{"start-unit", "loaded", "failed", "0", commands.StepPending},
		{"start-unit", "loaded", "inactive", "0", commands.StepPending},
		{"start-unit", "loaded", "active", "12", commands.StepDone},
		{"start-unit", "loaded", "deactivating", "12", commands.StepChanged},
		{"start-unit", "not-found", "inactive", "0", commands.StepChanged},
		{"restart-unit", "loaded", "active", "12", commands.StepPending},
		{"restart-unit", "loaded", "active", "13", commands.StepDone},
		{"restart-unit", "loaded", "failed", "0", commands.StepChanged},
	} {
		k := kindOf(t, c.kind)
		step := commands.Step{Kind: c.kind, Node: controller, Args: map[string]string{"unit": dhcpAgent, "pid": "12"}}
		m := newMachine()
		m.outputs["agent-units"] = runners.Output{Stdout: unitText(c.load, c.active, c.pid)}
		if got := m.state(t, k, step); got != c.want {
			t.Errorf("%s of a unit %s %s %s: %s, want %s", c.kind, c.load, c.active, c.pid, got, c.want)
		}
		for _, broken := range []runners.Output{{ExitCode: 1}, {Stdout: "?"}, {Stdout: unitText("loaded", "failed", "0"), Truncated: true}} {
			m.outputs["agent-units"] = broken
			if got := m.state(t, k, step); got != commands.StepChanged {
				t.Errorf("%s, unreadable: %s", c.kind, got)
			}
		}
	}
	start, restart := kindOf(t, "start-unit"), kindOf(t, "restart-unit")
	step := commands.Step{Node: controller, Args: map[string]string{"unit": dhcpAgent, "pid": "12"}}
	for want, actions := range map[string][]commands.Action{
		"systemctl start " + dhcpAgent: start.Do(step), "systemctl stop " + dhcpAgent: start.Undo(step), "systemctl restart " + dhcpAgent: restart.Do(step),
	} {
		if len(actions) != 1 || actions[0].String() != want || !actions[0].Command.Sudo {
			t.Errorf("%+v, want %q by sudo", actions, want)
		}
	}
	if undo := restart.Undo(step); undo != nil {
		t.Errorf("a restart is taken back by %+v", undo)
	}
}
