/** Markdown as it is read aloud: marks go, words stay, lines become pauses. */

type Pause = '' | ',' | '.';

interface Line {
  readonly text: string;
  /** The pause the line's kind asks for; a line that ends in punctuation has its own. */
  readonly pause: Pause;
}

/**
 * One line of plain text. Links and images become their text, table rows "a, b", list items and headings sentences of their own.
 * The content of code blocks is read like any text; their fences and languages are not.
 */
export function markdownToPlain(text: string): string {
  const lines = inlineMarks(links(text)).split('\n');
  const spoken: Line[] = [];
  for (const [index, line] of lines.entries()) {
    const read = readLine(line);
    if (read.text === '') {
      const previous = spoken.pop();
      if (previous) spoken.push({ text: previous.text, pause: '.' });
      continue;
    }
    const isLast = index === lines.length - 1;
    spoken.push({ text: read.text, pause: read.pause === '' && !isLast ? ',' : read.pause });
  }
  return spoken.map(({ text: words, pause }) => (endsInPause(words) ? words : words + pause)).join(' ');
}

function links(text: string): string {
  return text
    .replace(/!?\[([^[\]]*)\]\(([^()\n]*(?:\([^()\n]*\)[^()\n]*)?)\)/g, (_, label: string, target: string) =>
      label.trim() === '' ? ` ${target} ` : label,
    )
    .replace(/!?\[([^[\]]*)\]\[[^[\]]*\]/g, '$1')
    .replace(/\[\^[^[\]]*\]/g, '');
}

/** Emphasis, code marks, strike-through and escapes. A star between numbers is a multiplication. */
function inlineMarks(text: string): string {
  return text
    .replace(/\\([\\`*_{}[\]()#+\-.!|~>])/g, '$1')
    .replace(/(?<=\d) ?\* ?(?=\d)/g, ' × ')
    .replace(/(?<![\p{L}\p{N}/])_+|_+(?![\p{L}\p{N}_])/gu, '');
}

const FENCE = /^ ?(?:```|~~~)[^`]*$/;
const RULE = /^[-=*_ ]{3,}$/;
const TABLE_RULE = /^[|: -]+$/;
/** Quote, heading, bullet, task box: one after the other, as in "> - [x] ". */
const PREFIX = /^(?:> ?|#{1,6} |[-+*•‣◦▪▫●○–—] |\[[ x]?\] )+/i;

function readLine(raw: string): Line {
  let line = raw.trim();
  if (FENCE.test(line) || RULE.test(line) || (line.includes('|') && TABLE_RULE.test(line))) {
    return { text: '', pause: '' };
  }
  const prefix = PREFIX.exec(line)?.[0] ?? '';
  line = withoutPrefix(line.replace(PREFIX, '').replace(/[*`[\]]|~~+/g, ''));
  const numbered = /^(\d{1,3})[.)] (?=\S)/.exec(line);
  if (numbered) line = `${numbered[1]}, ${line.slice(numbered[0].length)}`;
  const isRow = line.includes('|');
  if (isRow) line = withoutPrefix(cells(line));
  return { text: line, pause: /[^> ]/.test(prefix) || numbered || isRow ? '.' : '' };
}

function withoutPrefix(line: string): string {
  return line.replace(/ {2,}/g, ' ').trim().replace(PREFIX, '').trim();
}

function cells(row: string): string {
  return row
    .split('|')
    .map((cell) => cell.trim())
    .filter((cell) => cell !== '')
    .join(', ');
}

const CLOSER = /["'”’»)]/;

function endsInPause(text: string): boolean {
  let end = text.length;
  while (end > 0 && CLOSER.test(text.charAt(end - 1))) end--;
  return /[.!?:;,…。！？；：，、؟،؛।॥۔—–-]/u.test(text.charAt(end - 1));
}
