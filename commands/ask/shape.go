package ask

import (
	"strings"
	"unicode"
)

// A shape is what a name says about the thing it names.
type shape uint8

const (
	plainShape shape = iota
	machineShape
	volumeShape
	nodeShape
)

// hanShapes are the same for names in Chinese, which has no gaps between
// parts. The last one found in a name decides, as with the parts.
var hanShapes = []struct {
	part  string
	shape shape
}{
	{"卷", volumeShape},
	{"盘", volumeShape},
	{"数据", volumeShape},
	{"备份", volumeShape},
	{"主机", machineShape},
	{"服务", machineShape},
	{"计算", nodeShape},
	{"控制", nodeShape},
}

// shapeWords are the parts people build names from.
var shapeWords = shapeTable()

func shapeTable() map[string]shape {
	table := map[string]shape{}
	for s, list := range map[shape]string{
		volumeShape:  "vol volume disk data root backup snap snapshot storage hdd ssd pvc lun image",
		machineShape: "vm web app db node server srv host agent master worker api lb k8s runner mail win redis kafka box gw proxy cache queue bastion jump build test dev qa",
		nodeShape:    "compute controller ctrl ctl cmp net network hypervisor neutron kvm esxi hv",
	} {
		for w := range strings.FieldsSeq(list) {
			table[w] = s
		}
	}
	return table
}

// shapeOf reads a folded name from its end: data-node-3 is a node and
// node-3-data is a volume.
func shapeOf(folded string) shape {
	parts := strings.FieldsFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	for i := len(parts) - 1; i >= 0; i-- {
		if s, ok := shapeWords[parts[i]]; ok {
			return s
		}
		for _, h := range hanShapes {
			if strings.Contains(parts[i], h.part) {
				return h.shape
			}
		}
	}
	return plainShape
}
