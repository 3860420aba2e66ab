package lab

// Spanning tree on a bridge: a port that comes up waits twice the forward delay
// before it passes frames. $1 is the tap, $2 the bridge, $3 the delay in
// hundredths of a second.
const (
	stpListening = `ip link set "$2" type bridge forward_delay "$3" stp_state 1
ip link set "$1" down
ip link set "$1" up`
	// A port that is waiting goes on waiting when spanning tree is switched
	// off; it has to come up once more.
	stpOff = `ip link set "$2" type bridge stp_state 0
ip link set "$2" type bridge forward_delay 0
ip link set "$1" down
ip link set "$1" up`
)

// dhcp22 is a tap that spanning tree holds back. It passes by itself.
func dhcp22() []Fault {
	fault := func(variant, doc, node, tap, delay string, want Want) Fault {
		want.State, want.Cause, want.Direction = proven, "DHCP-22", request
		return Fault{
			ID: "DHCP-22", Variant: variant, Doc: doc, Want: want, Passing: true,
			Inject: broken(on(node, stpListening, tap, webBridge, delay)),
			Heal:   healed(on(node, stpOff, tap, webBridge)),
		}
	}
	atCompute := Want{FromNode: Compute01, FromDevice: webTap, ToNode: Compute01, ToDevice: webBridge}
	atController := Want{FromNode: Controller01, FromDevice: webBridge, ToNode: Controller01, ToDevice: dhcpTap}
	return []Fault{
		fault("guest-tap", "the compute node's bridge runs spanning tree and web-1's tap has just come up", Compute01, webTap, "1500", atCompute),
		fault("dhcp-tap", "the same on the network node, with the DHCP port's tap and twice the delay", Controller01, dhcpTap, "3000", atController),
	}
}
