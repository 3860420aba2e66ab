package vsphere

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/view"

	"whybot/runners"
)

// A CheckResult is one line of `whybot check`.
type CheckResult struct {
	What   string
	OK     bool
	Detail string // what was seen
	Cure   string // what to do about it; empty when OK
}

// Check tries what whybot needs of the vCenter and changes nothing.
func (c *Client) Check(ctx context.Context) []CheckResult {
	const what = "vcenter: login"
	// The session may be hours old; a fresh one proves the password of today.
	s, err := c.connect(ctx, nil)
	if err == nil {
		s, err = c.connect(ctx, s)
	}
	if err != nil {
		return []CheckResult{{What: what, Detail: err.Error(), Cure: cure(err)}}
	}
	about := s.ServiceContent.About
	login := CheckResult{What: what, OK: true, Detail: fmt.Sprintf("user %q, %s", c.o.User, about.FullName)}
	if about.ApiType != "VirtualCenter" {
		login.OK, login.Detail = false, "an ESXi host answers there, which knows its own machines only"
		login.Cure = "name the vCenter in vsphere.url"
	}
	return []CheckResult{login, c.checkShown(ctx)}
}

// checkShown looks whether the user is shown anything at all: vCenter answers
// somebody without a role with an empty inventory.
func (c *Client) checkShown(ctx context.Context) CheckResult {
	const what = "vcenter: hosts"
	n, err := c.hosts(ctx)
	switch {
	case err != nil:
		return CheckResult{What: what, Detail: err.Error(), Cure: cure(err)}
	case n == 0:
		return CheckResult{
			What: what, Detail: "none are shown, which is also what vCenter answers to a user without a role",
			Cure: "give whybot's user the role Read-only at the root of the vCenter, propagated",
		}
	}
	return CheckResult{What: what, OK: true, Detail: fmt.Sprintf("%d are shown", n)}
}

// hosts counts the hosts that the user is shown.
func (c *Client) hosts(ctx context.Context) (n int, err error) {
	err = c.do(ctx, "list hosts", func(ctx context.Context, s *vimSession) error {
		v, err := view.NewManager(s.Client).CreateContainerView(ctx, s.ServiceContent.RootFolder, []string{hostType}, true)
		if err != nil {
			return err
		}
		defer func() { _ = v.Destroy(context.WithoutCancel(ctx)) }() // it ends with the session, too
		refs, err := v.Find(ctx, []string{hostType}, nil)
		n = len(refs)
		return err
	})
	return n, err
}

func cure(err error) string {
	switch runners.KindOf(err) {
	case runners.Authentication:
		return "look at vsphere.user and the password file"
	case runners.HostKey:
		return "compare the certificate's SHA-256 with vsphere.thumbprint"
	case runners.Refused, runners.Unreachable, runners.TooSlow:
		return "can this host reach vsphere.url? Is vCenter up?"
	case runners.Hidden:
		return "give whybot's user the role Read-only at the root of the vCenter, propagated"
	default:
		return "see whybot's log at level debug"
	}
}
