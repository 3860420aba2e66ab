package lab

// novaChains are what nova-compute of a cloud that once ran nova-network left
// in front of Neutron's chains: they know another DHCP server.
const (
	novaChains = `iptables-restore --noflush <<-RULES
	*filter
	:nova-filter-top - [0:0]
	:nova-compute-local - [0:0]
	:nova-compute-inst-17 - [0:0]
	:nova-compute-provider - [0:0]
	:nova-compute-sg-fallback - [0:0]
	-I FORWARD 1 -j nova-filter-top
	-A nova-filter-top -j nova-compute-local
	-A nova-compute-local -d $1/32 -j nova-compute-inst-17
	-A nova-compute-inst-17 -m state --state INVALID -j DROP
	-A nova-compute-inst-17 -m state --state RELATED,ESTABLISHED -j ACCEPT
	-A nova-compute-inst-17 -j nova-compute-provider
	-A nova-compute-inst-17 -s 10.30.92.1/32 -p udp -m udp --sport 67 --dport 68 -j ACCEPT
	-A nova-compute-inst-17 -p icmp -j ACCEPT
	-A nova-compute-inst-17 -p tcp -m tcp --dport 22 -j ACCEPT
	-A nova-compute-inst-17 -j nova-compute-sg-fallback
	-A nova-compute-sg-fallback -j DROP
	COMMIT
	RULES`
	dropNova = `iptables -D FORWARD -j nova-filter-top
for c in nova-filter-top nova-compute-local nova-compute-inst-17 nova-compute-provider nova-compute-sg-fallback; do iptables -F $c; done
for c in nova-filter-top nova-compute-local nova-compute-inst-17 nova-compute-provider nova-compute-sg-fallback; do iptables -X $c; done`
)

// dhcp41 is a second firewall in front of Neutron's that drops the OFFER.
func dhcp41() []Fault {
	want := Want{
		State: probable, Cause: "DHCP-41", FromNode: Compute01, FromDevice: webBridge,
		ToNode: Compute01, ToDevice: webTap, Direction: reply,
	}
	fault := func(variant, doc string, o Options) Fault {
		return Fault{
			ID: "DHCP-41", Variant: variant, Doc: doc, Want: want, Options: o,
			Inject: broken(on(Compute01, novaChains, webAddress)), Heal: healed(on(Compute01, dropNova)),
		}
	}
	return []Fault{
		fault("nova-chains", "nova-compute's chains stand before Neutron's and accept another DHCP server only", Options{}),
		fault("nova-chains-legacy", "the same with iptables-legacy", Options{Distro: Debian, Backend: Legacy}),
	}
}
