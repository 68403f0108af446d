{# Name normalized for comparison: Unicode compatibility forms (NFKC), lower case, white space trimmed. Neither engine
   implements NFKC, so the compatibility characters that occur in names are mapped here: full-width letters and
   digits, half-width katakana, ligatures, ellipsis, trademark. #}
{% macro normalize_name(name) -%}
    {%- set wide = "！＂＃＄％＆＇（）＊＋，－．／０１２３４５６７８９：；＜＝＞？＠ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺ［＼］＾＿｀ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ｛｜｝～　" -%}
    {%- set narrow = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~ " -%}
    {%- set half = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｧｨｩｪｫｬｭｮｯｰ･｡｢｣､" -%}
    {%- set full = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンァィゥェォャュョッー・。「」、" -%}
    {%- set marks = "ﾞﾟªº¹²³µſςΣ" -%}
    {%- set plain = "\u3099\u309aao123μsσσ" -%}
    {%- set spelled = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "…": "...", "™": "tm", "ß": "ss", "ẞ": "ss", "№": "no", "İ": "i\u0307", "\u00a0": " "} -%}
    {%- set folded = namespace(sql="translate(" ~ name ~ ", " ~ string_literal(wide ~ half ~ marks) ~ ", " ~ string_literal(narrow ~ full ~ plain) ~ ")") -%}
    {%- for character, letters in spelled.items() -%}
        {%- set folded.sql = "replace(" ~ folded.sql ~ ", " ~ string_literal(character) ~ ", " ~ string_literal(letters) ~ ")" -%}
    {%- endfor -%}
    trim({{ unicode_normalize("lower(" ~ folded.sql ~ ")") }})
{%- endmacro %}

{# Normalized name without featured artists, punctuation and accents; null for an empty name. A featured artist is kept if
   the same words name another recording: "feat. X - Remix" ends before the dash, "(feat. X Remix)" stays as it is. #}
{% macro match_key(folded_name) -%}
    {%- set featured = " *[(\\[](feat\\.?|ft\\.?|featuring) [^)\\]]*[)\\]]| (feat\\.|ft\\.|featuring) ([^ (\\[]| [^ (\\[-]| -[^ ])*" -%}
    {%- set alone = fold_accents(without(folded_name, featured)) -%}
    {%- set spelled = replace_all(replace_all(alone, "['’‘`´ʼ]", ""), "&", " and ") -%}
    coalesce(
        nullif(trim({{ replace_all(spelled, "[^\\p{L}\\p{M}\\p{N}]+", " ") }}), ''), nullif({{ folded_name }}, '')
    )
{%- endmacro %}

{# Normalized title without marks of a remaster and without "(with X)": by them alone, recordings of one length are the same. #}
{% macro without_edition(folded_title) -%}
    {%- set remaster = "([0-9]{4} )?(digital(ly)? )?remaster(ed)?( version)?( [0-9]{4})?" -%}
    {%- set alone = without(folded_title, " *[(\\[]with [^)\\]]*[)\\]]") -%}
    {{ replace_all(alone, " *[(\\[]" ~ remaster ~ "[)\\]]| +[-–] +" ~ remaster ~ "$", "") }}
{%- endmacro %}

{# The text without the matches of the pattern, unless the first one names another recording of a song. #}
{% macro without(text, pattern) -%}
    {%- set other_recording = "\\b(remix(ed)?|mix|live|instrumental|acoustic|version|edit|demo|cover|karaoke|dub|unplugged)\\b" -%}
    case
        when regexp_extract(regexp_extract({{ text }}, {{ string_literal(pattern) }}, 0), {{ string_literal(other_recording) }}, 0) = ''
            then {{ replace_all(text, pattern, "") }}
        else {{ text }}
    end
{%- endmacro %}

{# Text without the accents of Latin, Greek and Cyrillic letters. Marks of other scripts make other letters and stay. #}
{% macro fold_accents(text) -%}
    {{ adapter.dispatch("fold_accents", "segue")(text) }}
{%- endmacro %}

{% macro default__fold_accents(text) -%}
    case
        when regexp_extract({{ text }}, '[^\p{Latin}\p{Greek}\p{Cyrillic}\p{Common}\p{Inherited}]', 0) = ''
            then translate(strip_accents({{ text }}), 'øłđı', 'oldi')
        else {{ text }}
    end
{%- endmacro %}

{% macro spark__fold_accents(text) -%}
    case
        when regexp_extract({{ text }}, '[^\\p{IsLatin}\\p{IsGreek}\\p{IsCyrillic}\\p{IsCommon}\\p{IsInherited}]', 0) = ''
            then translate(regexp_replace({{ text }}, '[\u0300-\u036f]+', ''), 'øłđı', 'oldi')
        else {{ text }}
    end
{%- endmacro %}

{% macro replace_all(text, pattern, replacement) -%}
    {{ adapter.dispatch("replace_all", "segue")(text, pattern, replacement) }}
{%- endmacro %}

{% macro default__replace_all(text, pattern, replacement) -%}
    regexp_replace({{ text }}, {{ string_literal(pattern) }}, '{{ replacement }}', 'g')
{%- endmacro %}

{% macro spark__replace_all(text, pattern, replacement) -%}
    regexp_replace({{ text }}, {{ string_literal(pattern) }}, '{{ replacement }}')
{%- endmacro %}

{# SQL literal of a string. #}
{% macro string_literal(text) -%}
    {{ adapter.dispatch("string_literal", "segue")(text) }}
{%- endmacro %}

{% macro default__string_literal(text) -%}
    '{{ text | replace("'", "''") }}'
{%- endmacro %}

{% macro spark__string_literal(text) -%}
    '{{ text | replace("\\", "\\\\") | replace("'", "\\'") }}'
{%- endmacro %}

{# Lower-case text in a single Unicode normalization form: DuckDB composes; Spark, which has no normalization function,
   decomposes the composed letters of Latin, Greek, Cyrillic and kana. Names are equal in both engines or in neither. #}
{% macro unicode_normalize(text) -%}
    {{ adapter.dispatch("unicode_normalize", "segue")(text) }}
{%- endmacro %}

{% macro default__unicode_normalize(text) -%}
    nfc_normalize({{ text }})
{%- endmacro %}

{% macro spark__unicode_normalize(text) -%}
    {#- Combining mark: [letters without the mark, the same letters with the mark]. -#}
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
    {%- set decomposed = {} -%}
    {%- for mark, (letters, marked) in marks.items() -%}
        {%- for letter in letters -%}
            {%- do decomposed.update({marked[loop.index0]: letter ~ mark}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set pairs = [] -%}
    {%- for letter, parts in decomposed.items() -%}
        {%- set whole = namespace(text=parts) -%}
        {#- Letters with several marks are decomposed mark by mark. -#}
        {%- for _ in range(2) if whole.text[0] in decomposed -%}
            {%- set whole.text = decomposed.get(whole.text[0], whole.text[0]) ~ whole.text[1:] -%}
        {%- endfor -%}
        {%- do pairs.append(letter ~ "=" ~ whole.text) -%}
    {%- endfor -%}
    array_join(transform(
        split({{ text }}, ''),
        letter -> coalesce(try_element_at(str_to_map({{ string_literal(pairs | join(",")) }}, ',', '='), letter), letter)
    ), '')
{%- endmacro %}
