{# A name as it is compared: Unicode compatibility forms (NFKC) folded and case removed, white space trimmed.
   DuckDB has canonical composition only, so the compatibility characters that occur in names are
   mapped here: full-width letters and digits, half-width katakana, ligatures, ellipsis, trade mark. #}
{% macro fold_name(name) -%}
    {%- set wide = "！＂＃＄％＆＇（）＊＋，－．／０１２３４５６７８９：；＜＝＞？＠ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺ［＼］＾＿｀ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ｛｜｝～　" -%}
    {%- set narrow = "!\"#$%&''()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~ " -%}
    {%- set half = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｧｨｩｪｫｬｭｮｯｰ･｡｢｣､" -%}
    {%- set full = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンァィゥェォャュョッー・。「」、" -%}
    {%- set marks = "ﾞﾟªº¹²³µſς" -%}
    {%- set plain = "\u3099\u309aao123μsσ" -%}
    {%- set spelled = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "…": "...", "™": "tm", "ß": "ss", "ẞ": "ss", "№": "no", "İ": "i\u0307", "\u00a0": " "} -%}
    {%- set folded = namespace(sql="translate(" ~ name ~ ", '" ~ wide ~ half ~ marks ~ "', '" ~ narrow ~ full ~ plain ~ "')") -%}
    {%- for character, letters in spelled.items() -%}
        {%- set folded.sql = "replace(" ~ folded.sql ~ ", '" ~ character ~ "', '" ~ letters ~ "')" -%}
    {%- endfor -%}
    trim(nfc_normalize(lower({{ folded.sql }})))
{%- endmacro %}
