{# A name as it is compared: Unicode compatibility forms (NFKC) folded and case removed, white space trimmed.
   Neither engine has compatibility forms, so the compatibility characters that occur in names are
   mapped here: full-width letters and digits, half-width katakana, ligatures, ellipsis, trade mark. #}
{% macro fold_name(name) -%}
    {%- set wide = "！＂＃＄％＆＇（）＊＋，－．／０１２３４５６７８９：；＜＝＞？＠ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺ［＼］＾＿｀ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ｛｜｝～　" -%}
    {%- set narrow = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~ " -%}
    {%- set half = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｧｨｩｪｫｬｭｮｯｰ･｡｢｣､" -%}
    {%- set full = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンァィゥェォャュョッー・。「」、" -%}
    {%- set marks = "ﾞﾟªº¹²³µſςΣ" -%}
    {%- set plain = "\u3099\u309aao123μsσσ" -%}
    {%- set spelled = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "…": "...", "™": "tm", "ß": "ss", "ẞ": "ss", "№": "no", "İ": "i\u0307", "\u00a0": " "} -%}
    {%- set folded = namespace(sql="translate(" ~ name ~ ", " ~ quoted(wide ~ half ~ marks) ~ ", " ~ quoted(narrow ~ full ~ plain) ~ ")") -%}
    {%- for character, letters in spelled.items() -%}
        {%- set folded.sql = "replace(" ~ folded.sql ~ ", " ~ quoted(character) ~ ", " ~ quoted(letters) ~ ")" -%}
    {%- endfor -%}
    trim({{ one_form("lower(" ~ folded.sql ~ ")") }})
{%- endmacro %}

{# A text as a literal. #}
{% macro quoted(text) -%}
    {{ adapter.dispatch("quoted", "segue")(text) }}
{%- endmacro %}

{% macro default__quoted(text) -%}
    '{{ text | replace("'", "''") }}'
{%- endmacro %}

{% macro spark__quoted(text) -%}
    '{{ text | replace("\\", "\\\\") | replace("'", "\\'") }}'
{%- endmacro %}

{# Lower-case text in one form, whether its accents are characters of their own or not: DuckDB composes, Spark (which has no
   normal forms) takes the composed letters of Latin, Greek, Cyrillic and kana apart. Both tell the same names apart. #}
{% macro one_form(text) -%}
    {{ adapter.dispatch("one_form", "segue")(text) }}
{%- endmacro %}

{% macro default__one_form(text) -%}
    nfc_normalize({{ text }})
{%- endmacro %}

{% macro spark__one_form(text) -%}
    {#- A mark: letters without it, and the same letters with it. -#}
    {%- set marks = {
        "\u0300": ["aeiouünеиēōwâăêôơưyἀἁἐἑἠἡἰἱὀὁὐὑὠὡαεηιουωϊϋ", "àèìòùǜǹѐѝḕṑẁầằềồờừỳἂἃἒἓἢἣἲἳὂὃὒὓὢὣὰὲὴὶὸὺὼῒῢ"],
        "\u0301": ["aeiouyclnrszügåæøϊαεηιϋουωϒгкçēïkmõōpũwâăêôơưἀἁἐἑἠἡἰἱὀὁὐὑὠὡ", "áéíóúýćĺńŕśźǘǵǻǽǿΐάέήίΰόύώϓѓќḉḗḯḱḿṍṓṕṹẃấắếốớứἄἅἔἕἤἥἴἵὄὅὔὕὤὥ"],
        "\u0302": ["aeioucghjswyzạẹọ", "âêîôûĉĝĥĵŝŵŷẑậệộ"],
        "\u0303": ["anoiuvâăeêôơưy", "ãñõĩũṽẫẵẽễỗỡữỹ"],
        "\u0304": ["aeiouüäȧæǫöõȯyиуgḷṛαιυ", "āēīōūǖǟǡǣǭȫȭȱȳӣӯḡḹṝᾱῑῡ"],
        "\u0306": ["aegiouиужаеȩạαιυ", "ăĕğĭŏŭйўӂӑӗḝặᾰῐῠ"],
        "\u0307": ["cegzaobdfhmnprsśšṣtwxyſ", "ċėġżȧȯḃḋḟḣṁṅṗṙṡṥṧṩṫẇẋẏẛ"],
        "\u0308": ["aeiouyιυϒеіаәжзиоөэучыhõūwxt", "äëïöüÿϊϋϔёїӓӛӝӟӥӧӫӭӱӵӹḧṏṻẅẍẗ"],
        "\u0309": ["aâăeêioôơuưy", "ảẩẳẻểỉỏổởủửỷ"],
        "\u030a": ["auwy", "åůẘẙ"],
        "\u030b": ["ouу", "őűӳ"],
        "\u030c": ["cdelnrstzaiouügkʒjh", "čďěľňřšťžǎǐǒǔǚǧǩǯǰȟ"],
        "\u030f": ["aeioruѵ", "ȁȅȉȍȑȕѷ"],
        "\u0311": ["aeioru", "ȃȇȋȏȓȗ"],
        "\u0313": ["αεηιουωρ", "ἀἐἠἰὀὐὠῤ"],
        "\u0314": ["αεηιουωρ", "ἁἑἡἱὁὑὡῥ"],
        "\u031b": ["ou", "ơư"],
        "\u0323": ["bdhklmnrstvwzaeioơuưy", "ḅḍḥḳḷṃṇṛṣṭṿẉẓạẹịọợụựỵ"],
        "\u0324": ["u", "ṳ"],
        "\u0325": ["a", "ḁ"],
        "\u0326": ["st", "șț"],
        "\u0327": ["cgklnrstedh", "çģķļņŗşţȩḑḩ"],
        "\u0328": ["aeiuo", "ąęįųǫ"],
        "\u032d": ["delntu", "ḓḙḽṋṱṷ"],
        "\u032e": ["h", "ḫ"],
        "\u0330": ["eiu", "ḛḭṵ"],
        "\u0331": ["bdklnrtzh", "ḇḏḵḻṉṟṯẕẖ"],
        "\u0342": ["ἀἁἠἡἰἱὐὑὠὡαηιϊυϋω", "ἆἇἦἧἶἷὖὗὦὧᾶῆῖῗῦῧῶ"],
        "\u0345": ["ἀἁἂἃἄἅἆἇἠἡἢἣἤἥἦἧὠὡὢὣὤὥὦὧὰαάᾶὴηήῆὼωώῶ", "ᾀᾁᾂᾃᾄᾅᾆᾇᾐᾑᾒᾓᾔᾕᾖᾗᾠᾡᾢᾣᾤᾥᾦᾧᾲᾳᾴᾷῂῃῄῇῲῳῴῷ"],
        "\u3099": ["かきくけこさしすせそたちつてとはひふへほうゝカキクケコサシスセソタチツテトハヒフヘホウワヰヱヲヽ", "がぎぐげござじずぜぞだぢづでどばびぶべぼゔゞガギグゲゴザジズゼゾダヂヅデドバビブベボヴヷヸヹヺヾ"],
        "\u309a": ["はひふへほハヒフヘホ", "ぱぴぷぺぽパピプペポ"]
    } -%}
    {%- set apart = {} -%}
    {%- for mark, (letters, marked) in marks.items() -%}
        {%- for letter in letters -%}
            {%- do apart.update({marked[loop.index0]: letter ~ mark}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set pairs = [] -%}
    {%- for letter, parts in apart.items() -%}
        {%- set whole = namespace(text=parts) -%}
        {#- A letter of several marks is taken apart mark by mark. -#}
        {%- for _ in range(2) if whole.text[0] in apart -%}
            {%- set whole.text = apart.get(whole.text[0], whole.text[0]) ~ whole.text[1:] -%}
        {%- endfor -%}
        {%- do pairs.append(letter ~ "=" ~ whole.text) -%}
    {%- endfor -%}
    array_join(transform(
        split({{ text }}, ''),
        letter -> coalesce(try_element_at(str_to_map({{ quoted(pairs | join(",")) }}, ',', '='), letter), letter)
    ), '')
{%- endmacro %}
