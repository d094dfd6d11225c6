import type { Completeness } from './completeness.ts';

/** As completeness-en-finished.test-data.ts, of every class. */
export const GERMAN: Readonly<Record<Completeness, string>> = {
  complete: `
    ja
    Ja.
    nein
    ja genau
    Nein, danke.
    danke
    Guten Tag.
    hallo
    ja bitte
    Was kostet ein Zimmer?
    was kostet ein Zimmer
    haben Sie einen Parkplatz
    kann ich meinen Hund mitbringen
    Ich möchte einen Tisch für zwei Personen reservieren.
    ich möchte einen Tisch für zwei Personen reservieren
    ich habe meine Karte verloren
    mein Name ist Anna Schmidt
    um fünf
    um fünf Uhr
    morgen Abend
    zwei Personen
    ich wollte fragen ob das möglich ist
    ich weiß nicht wo mein Paket ist
    ich rufe morgen wieder an
    keine Ahnung
    das ist alles
    null eins sieben sechs eins zwei drei vier fünf sechs sieben
    anna punkt schmidt at beispiel punkt de`,
  incomplete: `
    und
    äh
    ich möchte
    ich hätte gern
    mein Name ist
    meine Nummer ist
    ich möchte einen Tisch für
    ich möchte einen Tisch und
    ich rufe an wegen
    weil
    ja aber
    haben Sie ein
    ich wollte fragen ob
    das Problem ist dass
    ich habe
    Ich möchte, äh,
    wir sind vier Erwachsene und`,
  dictating: `
    null eins sieben
    meine Nummer ist null eins sieben sechs
    0176
    anna punkt schmidt at
    S C H
    b wie berta`,
  open: `
    ich möchte einen Tisch für zwei Personen
    Anna Schmidt`,
};
