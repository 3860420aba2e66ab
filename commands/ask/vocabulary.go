package ask

// vocabulary maps words and phrases to meanings. Alternatives are separated by
// bars. English is in lower case with straight apostrophes; regular endings and
// single slips of the finger need no entry. Chinese is in simplified
// characters (see han.go for the others) and is cut longest match first, so a
// phrase that must not be read by its parts is given as a whole, if need be
// with no meaning.
var vocabulary = []struct {
	means meaning
	words string
}{
	{addr, "ip|ips|ipv4|ipv6|ip address|address|addr|inet|inet address|lease|leases|ip lease|network config|network configuration|ip config|ip configuration|地址|网络地址|位址|网址|网络配置|网络位址|租约|ip地址"},
	{dhcp, "dhcp|dhcpdiscover|dhcpoffer|dhcpack|dhcprequest|dhclient|udhcpc|dhcpcd|dnsmasq|dhcpv4|dhcpv6|dhcp4"},
	{dhcp | lack, "no offer|no offers"},
	{autoconf, "apipa|link-local|link local|linklocal|self-assigned|self assigned|autoconfiguration|链路本地|自动配置地址"},
	{floating, "floating|floating ip|fip|public ip|elastic ip|eip|浮动|浮动ip|弹性|公网|外网"},
	{0, "ip conflict|duplicate ip|address conflict|ip forwarding|mac address"},

	{ping, "ping|pings|pinged|pinging|pingable|icmp|traceroute|tracepath|mtr|trace"},
	{ping | fail, "unpingable"},
	{reach, "reach|reachable|reachability|connect|connected|connecting|connection|connectivity|talk to|talk|communicate|route|hop|hops|packet|packets|contact|ssh|telnet|curl|连|连接|连通|通|通信|通讯|访问|互通|可达|联通|到达|连到|连上|路由"},
	{reach | fail, "unreachable|packet loss|packets lost|disconnected from|loss|no route|host unreachable|network unreachable|destination host unreachable|drop packets|drops packets|丢包|不通|断连|失联"},
	{network, "network|networking|net|nic|网络|网|网卡|联网|上网"},

	{console, "console|vnc|novnc|spice|screen|remote desktop|rdp|display|serial console|控制台|终端|屏幕|画面|显示器|远程桌面"},
	{console | fail, "connection is closed|failed to connect to server|连接服务器失败"},
	{blank, "black|blank|blackscreen|white screen|whitescreen|frozen|freeze|spinning|spin|disconnect|disconnects|disconnecting|disconnected|黑屏|白屏|蓝屏|花屏|转圈|闪退|断开|断|空白|卡死|黑|白|刷不出"},
	{open, "open|opened|opening|load|loading|see|login|click|打开|点开|进入|登录|看到|加载|打|开|进"},
	{not | open, "打不开|进不去|打唔开|上不去"},

	{metadata, "metadata|meta-data|cloud-init|cloud init|cloudinit|user-data|userdata|user data|metadata service|元数据|ssh key injection"},
	{volume, "volume|vol|disk|disks|cinder|rbd|rbd image|data disk|boot disk|root disk|block device|image|snapshot|snapshots|卷|云硬盘|硬盘|磁盘|磁碟|云盘|数据盘|系统盘|存储卷|盘|快照"},
	{machine, "vm|vms|instance|instances|server|guest|guests|machine|virtual machine|box|virtual|虚拟机|虚机|云主机|云服务器|实例|机器|主机|服务器|云机|机"},
	{host, "host|hosts|hypervisor|compute node|compute|node|physical host|宿主机|物理机|计算节点|节点|母机"},
	{agent, "agent|dhcp agent|dhcp-agent|l3 agent|service|router|gateway|gw|switch|bridge|subnet|agents|网关|路由器|交换机|子网|代理"},

	{not, "not|n't|never|cannot|can't|cant|can not|unable|couldn't|won't|wont|isn't|isnt|aren't|arent|wasn't|wasnt|weren't|don't|dont|do not|doesn't|doesnt|didn't|didnt|hasn't|hasnt|haven't|havent|hadn't|ain't|neither|no longer|couldnt|wouldn't|wouldnt|shouldn't|nor|hardly|barely|" +
		"不|没|未|不到|不了|不上|不出|不动|不掉|不起|不去|唔到|唔|唔掉|唔上|无法|不能|没能|未能|没法|无从|不可|唔可以|未有|并没有|还没|仍未|不成|不行|不会|从未|不再"},
	{lack, "no|without|none|nothing|missing|empty|lost|lose|loses|losing|lack|lacks|lacking|disappear|disappeared|vanish|vanished|absent|unassigned|unconfigured|null|nil|n/a|w/o|zero|no more|" +
		"没有|缺|缺少|缺失|丢|丢失|丢了|空|空的|为空|冇|无|没得|不见|不见了|掉了|掉|消失|消失了|木有|没收到|冇咗|没任何"},
	{fail, "unanswered|fail|fails|failed|failing|failure|broken|break|breaks|broke|timeout|timed out|times out|time out|timing out|dead|down|refuse|refuses|refused|reject|rejected|denied|deny|invalid|wrong|incorrect|unresponsive|crash|crashed|abort|aborted|drop|drops|dropped|dropping|stop|stopped|expire|expired|close|closed|stopped working|went wrong|out of order|bad|flaky|block|blocked|" +
		"失败|超时|挂了|挂|报错|报|异常|出错|坏|坏了|故障了|中断|拒绝|错误|宕机|死了|不正常|不工作|唔work|不响应|没响应|没反应|无响应|无反应|冇反应|没回应|收不到|断了"},
	{problem, "problem|problems|issue|issues|trouble|error|errors|fault|outage|问题|毛病"},
	{busy, "busy|watchers|watcher|in-use|in use|locked|attached|has watchers|has snapshots|dependency|dependent|正在使用|占用|使用中|依赖"},
	{stuck, "stuck|hang|hangs|hanging|hung|waiting|wait|stalled|stall|forever|卡|卡在|卡住|卡住了|一直卡"},
	{remove | stuck, "error_deleting|error-deleting|error deleting|删除中"},
	{remove | not, "undeletable|删不掉|删唔到|删不了|删唔掉|删不去|删不到"},

	{get, "get|gets|got|getting|gotten|obtain|receive|acquire|pick up|picks up|picked up|picking up|pick|assign|assigned|allocate|allocated|given|give|gives|handed|hand|offered|offer|lease out|request|fetch|grab|retrieve|pull|come up with|take|" +
		"拿|拿到|取|取到|获取|获取到|取得|获得|得到|分配|分配到|分到|领|领到|攞|攞到|拎|拎到|收到|申请|申请到|要到|分|配到|抢到"},
	{have, "have|has|having|had|show|shows|showing|seen|sees|有|显示|看得到"},
	{remove, "delete|deletes|deleting|deletion|remove|removing|removal|destroy|terminate|purge|erase|get rid of|detach|detached|discard|release|clean up|drop volume|cleanup|" +
		"删|删除|移除|清理|清除|释放|强制删除|强删|强制删|卸载|销毁|删掉|删去"},
	{removed, "deleted|removed|destroyed|terminated|purged|erased|killed|" +
		"删了|已删|已删除|删除了|删完|删掉了|早删了|已经删|已经删除|已经删了|已被删除|删咗|被删|删除后|删除之后|删掉后|销毁了"},
	{removed | lack, "gone|没了|冇咗部机|不在了"},
	{removed, "doesn't exist|does not exist|no longer exists|doesnt exist|didn't exist|not exist|doesn't exist anymore|不存在了|已不存在"},
	{left, "left|left behind|left over|leftover|left-over|leftovers|residual|residue|orphan|orphaned|dangling|remain|remains|remaining|remained|linger|lingers|lingering|survive|survived|survives|go away|gone away|still there|still here|still exist|still exists|still listed|still around|still present|still billed|still being billed|abandoned|stray|not cleaned up|wasn't cleaned up|" +
		"残留|残余|遗留|剩|剩下|剩余|孤儿|孤立|还在|仍在|仲在|仍存在|仍然存在|还存在|依然存在|还挂着|还留着|留下|没清理|没释放|没有释放|未释放|没被删|未清理"},
	{still, "still|stay|stays|stayed|keep|keeps|yet|还|仍|仍然|依然|仲|还是|一直"},
	{together, "with the vm|with the instance|with the server|with it|along with|together with|跟着|一起|一并|随|随着|连带"},
	{after, "after|when|once|upon|since deleting|之后|以后|后|的时候|了之后"},

	{fix, "fix|fixes|repair|repairs|remediation|remediate|修复|修了|修过|修|处理|处置|搞过"},
	{approve, "approve|approved|approves|approval|approvals|authorise|authorised|handled|handle|批准|审批|批的|处理的|负责"},
	{verify, "verify|verified|verification|proven|验证|确认过"},
	{change, "change|changed|changes|modified|modify|restarted|applied|apply|改|改了|变更|改动|执行|执行了|修改|变化|重启过"},

	{resolved, "solved|resolved|fixed|recovered|all good|is back|are back|came back|came back up|got back|works now|work now|working now|works again|work again|working again|works fine now|is working now|works as expected now|back to normal|never mind|nevermind|nvm|false alarm|fixed it|ok now|fine now|healthy again|good now|" +
		"恢复|恢复了|已恢复|好了|好返|好返晒|已解决|解决|解决了|搞掂|搞定|搞定了|没事了|没事|没问题|没问题了|冇问题|正常了|已经好了|回来了|有返|误报|ok了|可以了|已经可以|通了"},
	{dont, "should not|shouldn't|must not|mustn't|need not|don't need|do not need|doesn't need|does not need|不该|不应该|不应|别|先别|不要|唔好|不用|不必|先不要|请勿|勿|莫|唔使|不需要"},
	{but, "but|however|though|although|yet still|while|whereas|because|but now|但|但是|可是|不过|却|然而|而且|只是|因为|所以"},

	{why, "why|how come|为什么|为何|为啥|怎么|点解|咋|为咩|怎么回事|干嘛"},
	{who, "who|whom|谁|边个|哪位|哪个人"},
	{which, "which|what|wat|any|list|哪些|有哪些|哪个|哪几个|什么|咩|乜|列表|最近|最近一次"},
	{show, "show|show me|list|display all|summarize|summarise|summary|print|列出|查看|查|汇总"},
	{happened, "happened|happen|happening|went on|发生|发生了什么|发生过什么|发生什么|出了什么事|发生咗咩"},
	{history, "history|timeline|time line|chronology|audit|audit log|log of|历史|历史记录|时间线|时间轴|经过|来龙去脉|记录"},
	{incident, "inc|incident|incidents|outages|故障|事件|故障列表|工单"},
	{often, "how many times|how often|几次|多少次|第几次|几多次"},
	{before, "before|ever|previously|in the past|以前|之前|曾经"},
	{past, "过"},
	{past | asks, "过吗"},
	{asks, "吗|么|咩"},
	{whatDid, "what did|what was done|what have|what has|what changed|what was changed|做了什么|改了什么|做过什么|做的|做过咩"},
	{change, "what changed|what was changed|改了什么"},
	{asksWhen, "when was|when were|when did|when has"},
	{asksPast, "has|have|did|was|were|had|曾"},
	{incident | limitOne, "last incident|latest incident"},
	{limitOne, "last time|latest|most recent|最近一次|上一次|上次|last fixed|last repaired|last restarted"},
	{resolved, "last fixed"},

	{from, "from|out of|从|由"},
	{to, "to|towards|into|到|去|至|往"},
	{and, "and|with|和|与|同|跟|及|同埋|以及"},
	{mutual, "between|each other|one another|mutually|both|之间|互相|相互|彼此|互"},
	{called, "called|named|叫|名叫|名为|叫做"},
	{at, "on|of|for|at|in|inside|about|在|的|关于|上|里|里面"},
	{article, "the|a|an|my|our|your|his|her|this|that|these|those|some|another|new|old|one|one of|my new|这台|那台|这个|那个|我的|我们的|一台|一个|某"},
	{since, "since|自从|自"},
	{aux, "is|are|was|were|be|been|being|am|can|could|will|would|shall|should|may|might|must|do|does|did|has|have|had"},

	// Words that carry no meaning here but are not names, and phrases that
	// must not be read by their parts.
	{0, "hey|hi|hello|morning|evening|please|pls|plz|thanks|thank|you|thx|someone|somebody|anyone|anybody|everyone|everything|check|look|looking|look into|help|me|i|we|us|it|its|it's|he|she|they|them|their|there|here|so|or|if|then|than|as|by|also|too|just|only|even|really|actually|now|again|already|anymore|more|most|very|quite|all|other|others|another|same|two|three|both ends|each|every|few|many|much|" +
		"today|yesterday|tomorrow|week|month|day|days|hour|hours|minute|minutes|last|next|night|ago|recently|suddenly|always|sometimes|" +
		"reboot|rebooted|reboots|restart|rebooting|boot|boots|booted|booting|start|started|starts|starting|create|created|creating|launch|launched|build|migrate|migrated|migration|live-migration|live migration|upgrade|upgraded|upgrading|resize|rebuild|maintenance|shutdown|came|come|comes|go|goes|went|going|up|back|over|off|run|running|runs|turn|turned|use|using|used|" +
		"work|working|worked|try|tried|trying|tries|say|says|said|saying|tell|know|think|seem|seems|look like|looks|like|want|need|needs|make|makes|put|set|send|sends|sent|return|returns|returned|respond|response|reply|replies|replied|answer|answers|answered|respond|" +
		"something|anything|everything else|thing|things|somehow|maybe|perhaps|probably|expected|expect|supposed|real|instead|right|away|correct|ok|okay|good|fine|great|sure|yes|no one|nobody|yep|lol|" +
		"status|state|available|error state|active|port|ports|interface|dashboard|horizon|openstack|nova|neutron|admin|user|users|team|customer|tenant|project|ticket|call|on-call|previous|instructions|ignore|where|how|ceph|force|quota|backend|token|serial|destination|request|connected to|ubuntu|debian|centos|windows|linux|prod|production|staging|" +
		"what's|that's|there's|i'm|i've|we've|let's|who's|where's|how's|thanks!|cheers|let|lets|allow|allows|attach|attaching|renew|web|noon|ten|five|properly|correctly|either|apparently|e.g|i.e|eg|ie|etc|fyi|btw|asap|ifconfig|dmesg|hostname|name|id|uuid|mac|dns|tcp|udp|http|https|k8s|ssh key|security group|closing|close ticket|successfully|touch|floating point|can someone|don't know|dont know|no idea|no worries|no rush|no doubt|not sure|no matter|not only|why not|not urgent|" +
		"是不是|有没有|能不能|可不可以|会不会|是否|对不对|要不要|不知道|不知|不好意思|不错|不断|不同|不仅|不只|不是|特别|别人|别的|识别|级别|没想到|说不定|不久|是|被|把|了|着|呢|吧|啊|呀|嘛|就|都|也|又|再|很|太|请|帮|帮忙|帮看看|看|看看|看一下|看下|一下|给|用|用户|我|我们|你|你们|他|它|他们|大家|今天|昨天|明天|上周|本周|这周|上个月|本月|这个月|小时|分钟|刚|刚才|刚刚|突然|现在|已经|已|早|应该|应该是|只|只有|起来|起来了|重启|重启后|开机|启动|创建|新建|迁移|升级|提示|状态|里头|那边|这边|回应|响应|回复|得|个|台|次|条|谢谢|多谢|感谢|好|早上好|麻烦|同事|开头|后端|前端|自动|强制|能|可以|会|要|想|时候|什么时候|最近|所有|全部|任何|一直|老是|总是|需要"},
	{not | get, "拿不到|获取不到|取不到|分不到|领不到|要不到|攞唔到|拎唔到|得不到|取得不到|取得唔到|分配不到|获取不了|没拿到|没分到|没获取到|没得到"},
	{not | reach, "连不上|连不通|访问不了|访问不到|连唔到|连唔上|够不着|到不了"},
	{not | console, "看不到画面|睇唔到画面"},
	{0, "console log|console logs|console output|rolled|scheduled|deployed|provisioned|spawned|web ui|gui"},
}

// helpPhrases are whole messages that ask what the bot is good for, written
// as they are after normalising, without punctuation.
var helpPhrases = phraseSet("help|help me|please help|help please|usage|commands|man|what can you do|what do you do|what can i ask|what can i ask you|how do i use you|how do i use this|how does this work|how to use|who are you|what are you|show help|whybot help|" +
	"帮助|帮忙|帮助一下|帮我|使用帮助|使用说明|说明|用法|怎么用|怎么使用|你能做什么|你会做什么|你可以做什么|能做什么|你会什么|你能干什么|点用|你识做咩|有什么功能")
