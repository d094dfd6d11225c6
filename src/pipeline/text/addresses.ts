/** E-mail and web addresses, as people say them. */
import { codeDigits, type EnglishStyle } from './english-numbers.ts';

/** Top-level domains that make a bare "name.tld" an address. Those that are English words need http:// or www. */
const TOP_LEVEL =
  'com|org|net|edu|gov|mil|int|info|biz|io|ai|app|dev|co|eu|uk|de|fr|nl|ch|ca|au|nz|jp|cn|br|ru|pl|se|dk|fi|cz|ie|tv|fm|xyz|online|shop|cloud|tech|health|bank|travel';

const EMAIL = /(?<![\w.+%-])[\w+%-]{1,64}(?:\.[\w+%-]{1,64}){0,8}@[a-z\d-]{1,63}(?:\.[a-z\d-]{1,63}){1,5}/gi;
const URL_WITH_SCHEME = /(?<![a-z\d])(?:https?:\/\/|www\.)[^\s<>"]+/gi;
const BARE_DOMAIN = new RegExp(
  String.raw`(?<![\w.@/-])(?:[a-z\d][a-z\d-]{0,62}\.){1,5}(?:${TOP_LEVEL})(?![a-z\d@-])(?:\.(?:${TOP_LEVEL})(?![a-z\d@-]))?(?::\d{1,5}(?!\d))?(?:\/[^\s<>"]*)?`,
  'gi',
);

const SIGNS: Readonly<Record<string, string>> = {
  '.': 'dot',
  '/': 'slash',
  '-': 'dash',
  _: 'underscore',
  '@': 'at',
  ':': 'colon',
  '+': 'plus',
  '%': 'percent',
  '~': 'tilde',
  '&': 'and',
  '=': 'equals',
};

/**
 * "jane@example.com" → "jane at example dot com"; "https://example.com/book?x=1" → "example dot com slash book".
 * The scheme, the query and the fragment of a web address are not read: nobody could follow them.
 */
export function speakAddresses(text: string, style: EnglishStyle): string {
  return text
    .replace(/(?<![a-z])mailto:/gi, '')
    .replace(EMAIL, (address) => apart(address, spellAddress(trimmed(address), style)))
    .replace(URL_WITH_SCHEME, (url) => apart(url, spellUrl(trimmed(url), style)))
    .replace(BARE_DOMAIN, (url) => apart(url, spellUrl(trimmed(url), style)));
}

function spellUrl(url: string, style: EnglishStyle): string {
  const readable = url
    .replace(/^https?:\/\//i, '')
    .replace(/[?#].*$/s, '')
    .replace(/\/+$/, '');
  return spellAddress(readable, style);
}

function spellAddress(address: string, style: EnglishStyle): string {
  return address
    .replace(/%[\da-f]{2}/gi, ' ')
    .replace(/^www\./i, 'w w w.')
    .replace(/\d+|[./\-_@:+%~&=]/g, (part) => ` ${SIGNS[part] ?? codeDigits(part, style)} `);
}

/** Punctuation at the end of an address belongs to the sentence. */
function trimmed(address: string): string {
  let end = address.length;
  while (end > 0 && '.,;:!?)\'"’”»…'.includes(address.charAt(end - 1))) end--;
  return address.slice(0, end);
}

/** The spoken address with the punctuation that was trimmed. */
function apart(address: string, spoken: string): string {
  return ` ${spoken.trim()}${address.slice(trimmed(address).length)}`;
}
