"""What is tried first: passwords of 15 signs and more, without spaces and punctuation.

Made by hand from keyboard walks, rows of digits, repeats, and phrases that everybody knows. Shorter
ones are refused by their length, so that the long lists of them are not needed.
"""

_LISTED = """
    0123456789012345 012345678901234567890 012345678910111213 1111222233334444 111222333444555
    112233445566778899 123123123123123 12341234123412341234 1234123412341234 123412341234123
    123456123456123456 123456123456123 123456789012345 1234567890123456 12345678901234567890
    12345678910111213 123456789123456789 123456789123456 123456789987654321 123456789abcdef
    123456789abcdefg 1234567890qwertyuiop 1234567890qwerty 123qweasdzxc123qwe 1q2w3e4r5t6y7u8
    1q2w3e4r5t6y7u8i 1q2w3e4r5t6y7u8i9o0p 1qaz2wsx3edc4rfv 1qaz2wsx3edc4rfv5tgb 1qazxsw23edcvfr4
    987654321987654321 98765432109876543210 9876543210987654 a1b2c3d4e5f6g7h8 aaaabbbbccccdddd
    abc123abc123abc123 abcabcabcabcabc abcd1234abcd1234 abcdefghijklmno abcdefghijklmnop
    abcdefghijklmnopqrstuvwxyz administratoradministrator adminadminadmin admin123admin123
    administrator123 allyourbasearebelongtous asdfasdfasdfasdf asdfghjklasdfghjkl
    asdfghjklqwertyuiop asdfghjklzxcvbnm changemechangeme changemechangemechangeme
    changethispassword changeme123456789 correcthorsebatterystaple defaultdefaultdefault
    demodemodemodemo evenifyouknowit everythingisawesome football123456789 godblessamerica
    godblessamerica1 hellohellohello helloworld123456 iloveyouiloveyou iloveyouforever
    iloveyousomuch1 inthebeginningwastheword jesuschrist1234 jesusislordjesusislord
    letmeinletmeinletmein letmeinletmein123 letmeinplease123 liverpoolliverpool
    loveyouforever1 maytheforcebewithyou monkeymonkeymonkey mypasswordispassword mypassword12345
    nevergonnagiveyouup onceuponatime123 opensesameopensesame p4ssw0rdp4ssw0rd pa55wordpa55word
    passphrasepassphrase passw0rdpassw0rd passw0rd12345678 password12345678 password123456789
    password1234567890 password123password password1password1 passwordpassword
    passwordpassword1 passwordpassword123 passwordispassword passwort12345678 princessprincess
    q1w2e3r4t5y6u7i8 q1w2e3r4t5y6u7i8o9p0 qazwsxedcrfvtgb qazwsxedcrfvtgbyhnujm qazwsxedcrfv123
    qqqqwwwweeeerrrr qweasdzxcqweasdzxc qweqweqweqweqwe qwerty123456789 qwerty1234567890
    qwertyqwertyqwerty qwertyuiop12345 qwertyuiop123456 qwertyuiop1234567890
    qwertyuiopasdfg qwertyuiopasdfghjkl qwertyuiopasdfghjklzxcvbnm qwertyuiopqwertyuiop
    rockyourockyou1 secretsecretsecret shadowshadowshadow sunshinesunshine sunshine123456789
    superman123456789 supersecretpassword supermansuperman testtesttesttest test1234test1234
    testpassword1234 thequickbrownfox thequickbrownfoxjumpsoverthelazydog thisisapassword
    thisismypassword thispasswordsucks tobeornottobethatisthequestion trustno1trustno1
    welcome123456789 welcomewelcome1 welcometothejungle winteriscoming1 zaq12wsxcde34rfv
    zaq1xsw2cde3vfr4 zxcvbnmasdfghjkl zxcvbnmasdfghjklqwertyuiop zxcvbnmzxcvbnm1
"""
COMMON = frozenset(_LISTED.split())
