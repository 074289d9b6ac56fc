// The words of a SELECT: what colours it, and what can be completed.
const KEYWORDS = new Set(("ALL AND ANTI ANY AS ASC ASOF BETWEEN BY CASE CAST CROSS CURRENT DATE DESC DESCRIBE DISTINCT ELSE END EXCEPT EXCLUDE EXISTS EXPLAIN FALSE FILTER FIRST FOLLOWING "
  + "FROM FULL GROUP HAVING ILIKE IN INNER INTERSECT INTERVAL IS JOIN LAST LATERAL LEFT LIKE LIMIT MATERIALIZED NATURAL NOT NULL NULLS OFFSET ON OR ORDER OUTER OVER "
  + "PARTITION PIVOT POSITIONAL PRECEDING QUALIFY RANGE RECURSIVE REPLACE RIGHT ROW ROWS SAMPLE SELECT SEMI SIMILAR SUMMARIZE TABLE THEN TIMESTAMP TIMESTAMPTZ TO TRUE TRY_CAST UNBOUNDED UNION UNPIVOT USING VALUES WHEN WHERE WINDOW WITH").split(" "));
const UNITS = /^(DAY|HOUR|MINUTE|MONTH|SECOND|WEEK|YEAR)S?$/i; // names of columns, but for behind a figure
const FUNCTIONS = ("abs any_value arg_max arg_min array_to_string avg ceil coalesce concat contains corr count count_if date_diff date_part date_trunc dayname epoch exp first floor greatest histogram hour "
  + "isnan lag last lead least len length list ln log10 lower lpad max median min minute mode now nullif percent_rank pow printf quantile_cont rank regexp_matches replace round row_number second split_part sqrt stddev strftime string_agg substring sum time_bucket trim upper var_pop weekday").split(" ");
const WORD = /--[^\n]*|\/\*[^]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\d+(?:\.\d+)?(?:e[+-]?\d+)?|[\p{L}_][\p{L}\p{N}_]*|\s+|[^]/giu;

// Every character of the text, in pieces: [class for its colour or "", text, where it begins].
const wordsOf = (sql) => {
  const pieces = [];
  let last = "";
  for (const match of sql.matchAll(WORD)) {
    const text = match[0], begin = match.index;
    let kind = "";
    if (text.startsWith("--") || text.startsWith("/*")) kind = "com";
    else if (text[0] === "'") kind = "str";
    else if (text[0] === '"') kind = "name";
    else if (/^\d/.test(text)) kind = "num";
    else if (/^[\p{L}_]/u.test(text)) {
      if (/^\s*\(/.test(sql.slice(begin + text.length, begin + text.length + 3)) && (!KEYWORDS.has(text.toUpperCase()) || FUNCTIONS.includes(text.toLowerCase()))) kind = "fn";
      else kind = KEYWORDS.has(text.toUpperCase()) || (UNITS.test(text) && /^(num|str)$/.test(last)) ? "key" : "name";
    }
    if (text.trim()) last = kind;
    pieces.push([kind, text, begin]);
  }
  return pieces;
};

const plainName = (name) => (/^[a-z_][a-z0-9_]*$/.test(name) && !KEYWORDS.has(name.toUpperCase()) ? name : `"${name.replaceAll('"', '""')}"`);
const bareName = (text) => (text[0] === '"' ? text.slice(1, -1).replaceAll('""', '"') : text).toLowerCase();

// Which tables a SELECT names after FROM and JOIN, by their aliases and names.
const tablesOf = (sql, relations) => {
  const words = wordsOf(sql).filter(([kind, text]) => kind !== "com" && text.trim() !== ""), found = new Map();
  words.forEach(([kind, text], place) => {
    const relation = kind === "name" || kind === "fn" ? relations.find((each) => each.name.toLowerCase() === bareName(text)) : undefined;
    if (!relation || !/^(FROM|JOIN|,)$/i.test(words[place - 1]?.[1] ?? "")) return;
    found.set(relation.name.toLowerCase(), relation);
    const after = /^AS$/i.test(words[place + 1]?.[1] ?? "") ? words[place + 2] : words[place + 1];
    if (after?.[0] === "name") found.set(bareName(after[1]), relation);
  });
  return found;
};
