package lab

// otherTag makes web-1's sub-interface anew with another tag: $1 is its name,
// $2 the bridge, $3 the tag. The frames on the wire carry that tag; what
// `ip -d link` says of the device is the stand-in's, see vlan.go.
const (
	otherTag = `ip link del "$1"
ip link add link eth3 name "$1" type vlan id "$3"
ip link set "$1" master "$2" up`
	rightTag = `ip link del "$1"; ` + restartAgent
)

// dhcp19 is a sub-interface whose tag is not the one in its name.
func dhcp19() []Fault {
	return []Fault{
		{
			ID: "DHCP-19", Variant: "compute", Doc: "eth3.3092 of the compute node sends with tag 3095",
			Want:   Want{State: probable, Cause: "DHCP-19", FromNode: Compute01, Direction: request},
			Inject: broken(on(Compute01, otherTag, webSub, webBridge, "3095")), Heal: healed(on(Compute01, rightTag, webSub)),
		},
		{
			ID: "DHCP-19", Variant: "controller", Doc: "eth3.3092 of the network node sends and takes tag 3095",
			Want: Want{
				State: probable, Cause: "DHCP-19", FromNode: Controller01, FromDevice: "eth3",
				ToNode: Controller01, ToDevice: webSub, Direction: request,
			},
			Inject: broken(on(Controller01, otherTag, webSub, webBridge, "3095")), Heal: healed(on(Controller01, rightTag, webSub)),
		},
	}
}
