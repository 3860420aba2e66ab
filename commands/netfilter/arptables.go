package netfilter

import "strings"

// ParseArptables reads what arptables-save (arptables-nft-save) printed, with
// counters or without. Its tables are of LayerARP.
//
// arptables-nft-save leaves out what it cannot show, such as --dst-mac with a
// mask (seen in 1.8.9): where both can be had, the arp tables of an nft listing
// are the ones to believe.
func ParseArptables(text string) (*Ruleset, error) { return parseSave(&arptables, text) }

var arptables = dialect{
	program: "arptables", listing: "arptables-save", family: familyARP,
	attachments: map[string]map[Hook]int{"filter": {Input: priorityFilter, Output: priorityFilter, Forward: priorityFilter}},
	targets: map[string]targetKind{
		"ACCEPT": {act: actAccept}, "DROP": {act: actDrop}, "RETURN": {act: actReturn},
		"CONTINUE": {}, "CLASSIFY": {}, "MARK": {changes: changeMark},
		"mangle": {act: actAccept, changes: changeMAC},
	},
	refine: refineArptables, options: arptablesOptions(),
}

func refineArptables(t *Target) {
	switch t.Name {
	case "MARK":
		t.does.mark = t.markChange()
	case "mangle":
		for i, w := range t.words {
			if kind, ok := ebtablesVerdicts[t.wordAt(i+1)]; ok && w.text == "--mangle-target" {
				t.act = kind
			}
		}
	}
}

// wordAt returns a word of the target, "" behind the last.
func (t *Target) wordAt(i int) string {
	if i < len(t.words) {
		return t.words[i].text
	}
	return ""
}

func arptablesOptions() map[string]optionReader {
	options := map[string]optionReader{
		"-s": masked(payloadSelector("arp", "saddr ip"), addressMask(kindIPv4)),
		"-d": masked(payloadSelector("arp", "daddr ip"), addressMask(kindIPv4)),
		"-i": selectorOption(metaSelector("iifname"), wildcardName), "-o": selectorOption(metaSelector("oifname"), wildcardName),
		"--src-mac": masked(payloadSelector("arp", "saddr ether"), macMask),
		"--dst-mac": masked(payloadSelector("arp", "daddr ether"), macMask),
		"--opcode":  fieldOption("arp", "operation", plain),
		"--h-type":  fieldOption("arp", "htype", plain), "--h-length": fieldOption("arp", "hlen", plain),
		"--proto-type": fieldOption("arp", "ptype", arpProtocol),
	}
	for long, short := range map[string]string{"--source-mac": "--src-mac", "--destination-mac": "--dst-mac", "--source-ip": "-s", "--destination-ip": "-d"} {
		options[long] = options[short]
	}
	return options
}

// arpProtocol reads a number that may be followed by a mask of all its bits.
func arpProtocol(k *kind, v string) (span, bool) {
	return bridgeProtocol(k, strings.TrimSuffix(v, "/0xffff"))
}
