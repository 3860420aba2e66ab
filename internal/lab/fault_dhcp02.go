package lab

const (
	// loseNeutron is what an administrator does who does not know better.
	loseNeutron = "systemctl restart iptables; "
	policyDrop  = "iptables -P FORWARD DROP; "
	// dockerChains is what dockerd leaves in the filter table.
	dockerChains = `for c in DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2 DOCKER-USER; do iptables -N $c; done
iptables -A DOCKER-USER -j RETURN
iptables -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN
iptables -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
iptables -A DOCKER-ISOLATION-STAGE-2 -j RETURN
iptables -A FORWARD -j DOCKER-USER
iptables -A FORWARD -j DOCKER-ISOLATION-STAGE-1
iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A FORWARD -o docker0 -j DOCKER
iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
iptables -A FORWARD -i docker0 -o docker0 -j ACCEPT
iptables -P FORWARD DROP
`
	policyAccept = "iptables -P FORWARD ACCEPT; "
)

// dhcp02 is a FORWARD chain that drops or rejects before Neutron accepts.
func dhcp02() []Fault {
	atController := Want{
		State: proven, Cause: "DHCP-02", FromNode: Controller01, FromDevice: webBridge,
		ToNode: Controller01, ToDevice: dhcpTap, Direction: request,
	}
	atCompute := Want{
		State: proven, Cause: "DHCP-02", FromNode: Compute01, FromDevice: webBridge,
		ToNode: Compute01, ToDevice: webSub, Direction: request,
	}
	replyLost := atController
	replyLost.ToDevice, replyLost.Direction = webSub, reply
	rules := Options{Distro: RHEL}.rulesFile()
	restore := loseNeutron + policyAccept + restartAgent
	return []Fault{
		{
			ID: "DHCP-02", Variant: "policy-drop-controller", Want: atController,
			Doc:    "iptables was restarted on the network node and its FORWARD policy is DROP",
			Inject: broken(on(Controller01, loseNeutron+policyDrop)), Heal: healed(on(Controller01, restore)),
		},
		{
			ID: "DHCP-02", Variant: "policy-drop-compute", Want: atCompute,
			Doc:    "the same on the compute node",
			Inject: broken(on(Compute01, loseNeutron+policyDrop)), Heal: healed(on(Compute01, restore)),
		},
		{
			ID: "DHCP-02", Variant: "docker", Want: atController,
			Doc:    "docker was started on the network node after iptables had been restarted",
			Inject: broken(on(Controller01, loseNeutron+dockerChains)), Heal: healed(on(Controller01, restore)),
		},
		{
			ID: "DHCP-02", Variant: "policy-drop-one-direction", Want: replyLost, Also: []string{"DHCP-01"},
			Doc:     "policy DROP behind a Neutron that accepts trusted ports in one direction: the OFFER dies",
			Options: Options{Style: OldStyle},
			Inject:  broken(on(Controller01, policyDrop)), Heal: healed(on(Controller01, policyAccept)),
		},
		{
			ID: "DHCP-02", Variant: "reject-before-neutron", Want: atController, Also: []string{"DHCP-01"},
			Doc:    "the REJECT stands above Neutron's jumps, so that the DISCOVER dies",
			Inject: broken(on(Controller01, "iptables -I "+rejectRule)), Heal: healed(on(Controller01, "iptables -D "+rejectRule)),
		},
		{
			ID: "DHCP-02", Variant: "reject-neutron-lost", Want: atCompute, Also: []string{"DHCP-01"},
			Doc:    "iptables was restarted on the compute node: Neutron's chains are gone, the saved REJECT is there",
			Inject: broken(on(Compute01, saveReject+loseNeutron, rules)), Heal: healed(on(Compute01, unsaveReject+restore, rules)),
		},
	}
}
