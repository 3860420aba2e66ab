package ask

import "strings"

// days and spans are words for a time that need no number.
var days = map[string]string{
	"yesterday": "yesterday", "yesterdy": "yesterday", "today": "today",
	"昨天": "yesterday", "今天": "today", "琴日": "yesterday", "今日": "today",
	"上周": "last_week", "本周": "this_week", "这周": "this_week", "上星期": "last_week",
	"上个月": "last_month", "上月": "last_month", "本月": "this_month", "这个月": "this_month",
}

var units = map[string]string{
	"day": "d", "days": "d", "天": "d", "日": "d",
	"hour": "h", "hours": "h", "hrs": "h", "小时": "h",
	"week": "w", "weeks": "w", "周": "w",
	"minute": "m", "minutes": "m", "分钟": "m",
}

var months = map[string]string{
	"jan": "01", "feb": "02", "mar": "03", "apr": "04", "may": "05", "jun": "06",
	"jul": "07", "aug": "08", "sep": "09", "oct": "10", "nov": "11", "dec": "12",
}

// period returns the time a question is limited to: a word such as last_week,
// a length such as last_24h, a day as MM-DD or YYYY-MM-DD, or two joined by
// two dots. It is empty where none is named.
func period(tokens []token) string {
	var dates []string
	for i, t := range tokens {
		if t.kind == date {
			dates = append(dates, t.text)
			continue
		}
		if w := periodAt(tokens[i:]); w != "" {
			return w
		}
	}
	switch len(dates) {
	case 0:
		return ""
	case 1:
		return dates[0]
	}
	return dates[0] + ".." + dates[1]
}

func periodAt(tokens []token) string {
	t := tokens[0]
	if w, ok := days[t.fold]; ok {
		return w
	}
	if right, ok := words.correct(t.fold); ok && days[right] != "" {
		return days[right]
	}
	if t.kind == amount {
		return amountOfTime(t.fold)
	}
	if len(tokens) < 2 {
		return ""
	}
	next := tokens[1]
	if d := dayOfMonth(t, next); d != "" {
		return d
	}
	if (t.fold == "this" || t.fold == "last" || t.fold == "past") && (next.fold == "week" || next.fold == "month") {
		return strings.Replace(t.fold, "past", "last", 1) + "_" + next.fold
	}
	if unit, ok := units[next.fold]; ok && t.kind == number {
		return "last_" + t.text + unit // "last 30 days", 最近24小时
	}
	return ""
}

// dayOfMonth reads "nov 3rd".
func dayOfMonth(t, next token) string {
	m, ok := months[t.fold[:min(3, len(t.fold))]]
	if !ok {
		return ""
	}
	d := leadingDigits(next.text)
	if d == "" || len(d) > 2 {
		return ""
	}
	return m + "-" + strings.Repeat("0", 2-len(d)) + d
}

// amountOfTime reads the "24h" of "last 24h".
func amountOfTime(folded string) string {
	switch folded[len(leadingDigits(folded)):] {
	case "h", "d", "w":
		return "last_" + folded
	}
	return ""
}

func leadingDigits(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}
