package differential

import "math/rand/v2"

// A traffic is a sort of packets that a family of rules is asked about.
type traffic struct {
	v4, v6, arp bool
	bridge      bool // only what goes through the bridge, or in or out by it
}

// volley draws the shots that are sent through one rule set.
func volley(rnd *rand.Rand, t traffic, n int) []shot {
	var shots []shot
	for len(shots) < n {
		s := t.draw(rnd)
		if t.bridge && !isPort(s.From) && !isPort(s.To) {
			continue
		}
		shots = append(shots, s)
		if s.answerable() && len(shots) < n && rnd.IntN(3) == 0 {
			shots = append(shots, s.answer(len(shots)))
		}
	}
	return shots
}

func (t traffic) draw(rnd *rand.Rand) shot {
	var v6 bool
	switch {
	case t.arp && rnd.IntN(4) == 0:
		return drawARP(rnd)
	case t.v4 && t.v6:
		v6 = rnd.IntN(2) == 0
	default:
		v6 = t.v6
	}
	switch n := rnd.IntN(10); {
	case n < 3 && v6:
		return drawDHCPv6(rnd)
	case n < 4:
		return drawDHCP(rnd, v6)
	default:
		return drawUnicast(rnd, v6)
	}
}

// twoPorts draws two different ports of the bridge.
func twoPorts(rnd *rand.Rand) (from, to string) {
	i := rnd.IntN(len(ports))
	return ports[i], ports[(i+1+rnd.IntN(len(ports)-1))%len(ports)]
}

func drawARP(rnd *rand.Rand) shot {
	from, to := twoPorts(rnd)
	if rnd.IntN(2) == 0 {
		return shot{Kind: arpRequest, From: from, To: everyone}
	}
	return shot{Kind: arpReply, From: from, To: to}
}

func drawDHCPv6(rnd *rand.Rand) shot {
	from, to := twoPorts(rnd)
	switch rnd.IntN(3) {
	case 0:
		return shot{Kind: routerAdvert, From: from, To: everyone}
	case 1:
		return shot{Kind: solicit, From: from, To: everyone, Sport: 546, Dport: 547}
	default:
		return shot{Kind: advertise, From: from, To: to, Sport: 547, Dport: 546}
	}
}

func drawDHCP(rnd *rand.Rand, v6 bool) shot {
	from, to := twoPorts(rnd)
	switch {
	case v6:
		return drawUnicast(rnd, v6)
	case rnd.IntN(2) == 0:
		return shot{Kind: dhcpRequest, From: from, To: everyone, Sport: 68, Dport: 67}
	default:
		return shot{Kind: dhcpReply, From: from, To: to, Sport: 67, Dport: 68}
	}
}

// serverPorts are the ports that rules like to speak of.
var serverPorts = []uint16{22, 53, 67, 80, 443, 5900, 9696}

// drawUnicast draws a packet of its own connection, mostly from port to port.
func drawUnicast(rnd *rand.Rand, v6 bool) shot {
	s := shot{V6: v6, Kind: []kind{udp, udp, tcpSYN, echo, stray}[rnd.IntN(5)]}
	s.From, s.To = twoPorts(rnd)
	router := routed[rnd.IntN(len(routed))]
	switch rnd.IntN(9) {
	case 0:
		s.To = host
	case 1:
		s.From, s.To = router, host
	case 2:
		s.From, s.To = "r0", "r1"
	case 3:
		s.To = router
	case 4:
		s.From = router
	case 5:
		s.From = host
		if rnd.IntN(2) == 0 {
			s.To = router
		}
	}
	s.Sport = uint16(10000 + rnd.IntN(50000))
	if s.Kind == udp || s.Kind == tcpSYN {
		s.Dport = serverPorts[rnd.IntN(len(serverPorts))]
		if rnd.IntN(3) == 0 {
			s.Dport = uint16(1 + rnd.IntN(65535))
		}
	}
	return s
}

// answerable says that the receiver could answer in a way the test sends.
func (s shot) answerable() bool { return s.Kind == udp && s.To != host && s.From != host }

// answer is the packet that goes back, of the same connection.
func (s shot) answer(number int) shot {
	s.From, s.To, s.Sport, s.Dport, s.Answers = s.To, s.From, s.Dport, s.Sport, number
	return s
}
