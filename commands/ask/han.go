package ask

import "unicode"

// pairs lists traditional and Cantonese-used forms followed by the form the
// vocabulary is written in. Only characters that the vocabulary needs are
// here; a name keeps the characters it was typed with.
const pairs = "雲云虛虚擬拟機机獲获無无沒没網网絡络位位擊击開开關关臺台檯台畫画螢荧屏屏顯显" +
	"錄录連连線线磁磁碟盘盤盘刪删殘残餘余卻却還还掛挂異异動动斷断時时間间歷历發发" +
	"處处審审誰谁復复請请幫帮問问題题為为點点過过總总從从對对與与應应該该繼继續续" +
	"給给幾几個个來来這这麼么麽么實实務务報报錯错誤误敗败響响訪访貝贝現现見见後后裡里裏里" +
	"伺服務务謝谢強强領领準准備备話话說说執执際际筆笔驗验證证單单列列統统計计圖图" +
	"變变週周當当載载閃闪轉转黑黑鏡镜結结號号閘闸啟启經经並并邊边氣气買买嚟来係是喺在" +
	"睇看咗了嘅的邊边尋寻壞坏訊讯儲储"

var simplified = pairUp(pairs)

func pairUp(s string) map[rune]rune {
	m := make(map[rune]rune)
	r := []rune(s)
	for i := 0; i+1 < len(r); i += 2 {
		if r[i] != r[i+1] {
			m[r[i]] = r[i+1]
		}
	}
	return m
}

// fold returns the form of a rune that the vocabulary uses.
func fold(r rune) rune {
	if s, ok := simplified[r]; ok {
		return s
	}
	return unicode.ToLower(r)
}
