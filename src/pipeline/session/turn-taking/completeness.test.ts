import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { assessCompleteness } from './completeness.ts';
import type { Completeness } from './completeness.ts';

/** Utterances as recognisers write them: with smart formatting and without, whole finals and pieces of turns. One a line. */
const ENGLISH: Readonly<Record<Completeness, string>> = {
  complete: `
    yes
    Yes.
    no
    No.
    yeah
    Yeah.
    yeah, sure
    Yeah, sure.
    Okay.
    uh-huh
    mm-hmm
    nope
    yes please
    No, thank you.
    thanks
    Thank you very much.
    hello
    Hi there.
    good morning
    that's all
    that's right
    I don't know
    not really
    Never mind.
    goodbye
    Okay, bye.
    maybe
    Sure, why not?
    I think so
    yes I do
    no I don't
    yes it is
    yes I would
    I am
    What are your opening hours?
    what are your opening hours
    do you have parking
    Can I bring my dog?
    can I bring my dog
    how do I get to the hotel
    how are you
    where is it
    what is it about
    who am I speaking with
    where are you calling from
    can you tell me what time it is
    what should I do
    how much does a room cost
    how much is it
    Is breakfast included?
    I'd like to book a table for two.
    I'd like to book a table for two
    I want to cancel my appointment
    I'd like to cancel
    I need to change my reservation please
    my order has not arrived
    my name is John Smith
    I lost my card
    It's broken.
    it stopped working this morning
    I spoke to someone yesterday
    We were there at five.
    that's what I'm looking for
    that is all I need
    the one I asked for
    I don't know where my order is
    I've called before.
    What's going on?
    turn it off
    can I check in
    Come in.
    book a taxi
    transfer me to an agent
    tell me more
    please repeat that
    hang up
    stop
    help
    cancel my order
    let's do that
    I want that.
    tomorrow
    tomorrow at five
    at five
    at 5
    at five thirty
    two people
    for two people
    room 12
    room three oh two
    next Tuesday
    Tuesday the fourth
    the blue one
    in the morning
    to the airport
    twenty five
    five
    about ten minutes
    a double room
    If it rains, we'll stay home.
    if I book today do I get a discount
    because I lost my card
    Me too.
    as soon as possible
    sounds good
    I'm calling about my bill
    I'm not happy with it
    my number is 555-0123
    555-0123
    (415) 555-0123
    It's 415-555-0123.
    four one five five five five oh one two three
    plus one four one five five five five oh one two three
    my zip code is 90210
    nine oh two one oh is my zip code
    jane.doe@example.com
    it's jane dot doe at example dot com
    my email is not working
    my card number is 4242 4242 4242 4242
    SW1A 1AA
    My PIN is 4321.
    born on March 3rd 1984
    march third nineteen eighty four
    The last four are 9876.
    I was born in 1984.
    it's about four hundred dollars
    I said yes.
    plan b
    at 5 p.m.
    five p m
    I'm in the US
    hold on
    just a second
    Well, it depends.
    not at the moment
    I would like to speak to a human
    what would you like
    what do you think
    the account
    from my wife
    this is my first time
    that was wrong
    that one is broken
    how do you know
    what do you mean
    I'm doing well
    Absolutely.
    sounds perfect thank you
    no that's everything
    Can you hear me?
    can you hear me
    is anybody there
    are you a robot
    I'm looking for a plumber
    we moved to a new house last month
    my husband already called you about it
    what's the price for two nights
    do you ship to Canada
    when does the pool open
    I'd like to speak with a manager
    could you say that again please
    I have an appointment on Friday
    My flight was cancelled.
    the internet is down
    the door won't open
    nothing works
    I paid last week
    it was delivered to the wrong address
    yeah that's fine
    no it's not
    no I'm not
    yeah I can do that
    Thursday works for me
    either is fine
    the second one
    a large pizza with mushrooms
    twelve people
    two tickets for the eight o'clock show
    half past three
    quarter to nine
    a quarter past
    seven in the evening
    it's for my daughter
    for my daughter
    I'm allergic to nuts
    How long does it take to get there?
    is it far from the station
    what floor are you on
    who is it for
    I'm not sure what you mean
    I don't understand
    say that again
    put me through to sales
    I'll take it
    that'll be all
    we're done
    please cancel it
    remind me tomorrow
    six
    ninety nine
    the fifteenth
    March third
    about a week ago
    since Monday
    no problem
    you're welcome
    I have no idea
    it's 202 555 0147
    my email's sam at gmail dot com
    call me at 202-555-0147
    oh okay I see
    why is that
    is that so
    yes he has
    Because it's too expensive.
    I was charged twice
    how are you doing today
    five minutes
    ten
    room 204
    flight 370
    the one on Main Street
    what do you have
    when can I come in
    which one is cheaper`,
  incomplete: `
    and
    um
    uh
    because
    but
    so
    well
    the
    my
    my number is
    My name is
    My name is.
    my email address is
    I would like to
    I would like
    I'd like
    I want
    I need to
    I want to book a
    I'd like to book a table for
    I'd like to book a table for two and
    I'd like to book a table for two, and
    I'd like to book a table, um
    yes but
    Yeah, but
    yeah so
    well I
    I'm
    and I'm
    I was wondering if
    I was wondering if you
    Can you
    could you please
    can I get
    do you have
    I'm calling about
    I'm calling because
    I'm calling because my
    the problem is
    the thing is that
    this is
    that is
    I have some
    there are some problems with my
    what I need is
    what I wanted to ask was
    I think that
    I think it's
    let me see
    let me think
    Okay, let me
    So I have a
    it was like
    I went to the store and then
    I went to the
    from Boston to
    we are four adults and
    not only
    when I called yesterday,
    If I book today
    if you
    how about
    what about
    how many
    what kind of
    where is the
    What is your
    on
    in the next
    either Monday or
    Monday or
    I mean
    you know
    and then I
    I'd like to know whether
    I'm looking for
    she told me that
    Hi, I'm calling about,
    I have a question about my bill -
    I want to go to…
    I can't remember, it was...
    please send it to
    the reason I'm calling is
    I have
    there's
    they said they would
    my wife and
    Hello, yes, I
    I just wanted to
    I was just
    would it be possible to
    is there a
    it costs more than
    for example
    I was hoping you could
    so basically I
    the reason is
    my appointment is on
    we'd like to come on
    my husband and I
    could you tell me the
    is it possible to get a
    I'm not sure if
    I'm not sure but
    I need a
    It's about my
    yes and also
    no because
    okay and
    I'd prefer
    can I have
    the first one or the
    do you know if
    does it come with
    I'm interested in
    I was told that
    I live at
    somewhere between
    it's under the name
    my last name is
    it's under
    around
    we're a group of
    I've been trying to
    could I possibly
    I just need
    hmm
    I guess I
    uh well
    there is a
    I received your
    what is the best way to
    I'd say
    it says
    but I don't want
    we have
    they want
    because the
    I'm calling on behalf of
    yes um
    er`,
  dictating: `
    five five five
    my number is five five five
    my number is 555
    My number is 555.
    555
    555-
    555-01
    415 555
    (415) 555
    it's four one five five five five
    four one five, five five five, oh
    My number is 4 1 5
    the number is oh two oh
    plus one four one five
    +1 415
    0176
    double five three
    five five five um
    five five five and
    jane dot doe at
    jane dot
    my email is jane
    my email is jane dot doe at gmail
    it's jane underscore doe
    jane at gmail dot
    jane@
    jane.doe@example
    S M I
    S, M, I
    S-M-I-T
    it's spelled S M I T H
    my name is Smith S M
    b as in bravo
    S as in sierra, M as in mike
    sierra mike
    m for mother
    K 1 A
    s w one
    SW1A
    nine oh two
    my zip code is 902
    my card number is 4242
    four two four two four two four two
    my card number is 4242 4242 4242
    my account number is eight eight
    My account number is 88.
    the order number is 4 5 7
    reference A B 1 2
    my date of birth is oh four
    March third nineteen
    it's double two seven
    zero seven seven
    it's 202
    202 555
    it's two oh two five five five
    the card number is 5105 1051
    my postcode is E C one
    sam at
    it's sam dot jones at gmail
    sam dot jones at
    J O
    it's J O H
    that's d as in david
    P for Peter
    policy number 7 7
    confirmation code X Y
    seven seven nine
    it's oh seven seven double oh
    my phone number is 202-555
    The number is 202.
    my birthday is the third of the fourth nineteen`,
  open: `
    john smith
    the thing with john smith
    my booking reference is 123456
    five five five oh one two three
    blue
    I'd like to order
    John
    how much
    what time
    cash
    I'm calling`,
};

const GERMAN: Readonly<Record<Completeness, string>> = {
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

const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
const CLASSES: readonly Completeness[] = ['complete', 'incomplete', 'dictating', 'open'];

/** Right answers and all answers by language and class. */
const scores = new Map<string, { right: number; all: number }>();
const misses: string[] = [];

function score(language: string, text: string, label: Completeness): void {
  const judged = assessCompleteness(text, language);
  const key = `${language} ${label}`;
  const so = scores.get(key) ?? { right: 0, all: 0 };
  scores.set(key, { right: so.right + Number(judged === label), all: so.all + 1 });
  if (judged !== label) misses.push(`${language} ${JSON.stringify(text)}: ${judged}, not ${label}`);
}

afterAll(() => {
  const rows = [...scores].map(([key, { right, all }]) => `  ${key}: ${right}/${all}`);
  console.log(['completeness on the corpus', ...rows, ...misses.map((miss) => `  missed: ${miss}`)].join('\n'));
});

describe('the corpus', () => {
  it.each([
    ['en', ENGLISH],
    ['de', GERMAN],
  ] as const)('%s', (language, corpus) => {
    for (const label of CLASSES) for (const text of lines(corpus[label])) score(language, text, label);
    const all = [...scores].filter(([key]) => key.startsWith(language));
    for (const [key, { right, all: total }] of all) expect(right / total, key).toBeGreaterThanOrEqual(0.95);
  });
});

describe('short words', () => {
  const words = lines(`
    yes
    no
    yeah
    yeah, sure
    yep
    nope
    okay
    sure
    thanks
    thank you
    hello
    no thanks
    yes please
    right
    correct
    uh-huh
    yes, yes
    no, no, no
    okay, thanks
    yeah, no
    yes, that's right`);

  it.each(words)('%s', (word) => {
    const capital = word.charAt(0).toUpperCase() + word.slice(1);
    const forms = [
      word,
      `${word}.`,
      capital,
      `${capital}.`,
      `${capital}!`,
      `${capital}?`,
      ` ${word} `,
      word.toUpperCase(),
      `“${capital}.”`,
    ];
    for (const form of forms) expect(assessCompleteness(form, 'en'), form).toBe('complete');
    // A recogniser that writes no commas.
    expect(assessCompleteness(word.replaceAll(',', ''), 'en-US')).toBe('complete');
    // The same after something else.
    expect(assessCompleteness(`I was there. ${capital}.`, 'en')).toBe('complete');
    expect(assessCompleteness(`um ${word}`, 'en')).toBe('complete');
  });
});

describe('other languages', () => {
  it.each<[string, string, Completeness]>([
    ['fr', 'Je voudrais réserver une table.', 'complete'],
    ['fr', 'je voudrais réserver une', 'open'],
    ['fr', 'Alors,', 'incomplete'],
    ['fr', '06 12 34', 'dictating'],
    ['es', '¿Tienen aparcamiento?', 'complete'],
    ['es', 'sí', 'open'],
    ['it', 'Vorrei…', 'incomplete'],
    ['ja', '予約をお願いします。', 'complete'],
    ['ja', '予約をお願いします', 'open'],
    ['zh', '我想，', 'incomplete'],
  ])('%s: %s', (language, text, label) => {
    expect(assessCompleteness(text, language)).toBe(label);
  });
});

describe('whatever is said', () => {
  const english = fc.constantFrom(...CLASSES.flatMap((label) => lines(ENGLISH[label])));

  it('is open when there are no words', () => {
    for (const text of ['', ' ', '…', '?', ', -']) expect(assessCompleteness(text, 'en')).toBe('open');
  });

  it('is never finished after a word that binds', () => {
    fc.assert(
      fc.property(
        english,
        fc.constantFrom('and', 'because', 'um', 'but the', 'with my', 'and I', 'so, uh'),
        (text, word) => {
          const bare = text.replace(/[.,!?…\s-]+$/u, '');
          expect(['incomplete', 'dictating']).toContain(assessCompleteness(`${bare} ${word}`, 'en'));
        },
      ),
    );
  });

  it('is finished by a question mark', () => {
    fc.assert(
      fc.property(english, (text) => {
        const bare = text.replace(/[.,!?…\s-]+$/u, '');
        expect(assessCompleteness(`${bare}?`, 'en')).toBe('complete');
      }),
    );
  });

  it('gets an answer, quickly, for any text and language', () => {
    const language = fc.constantFrom('en', 'de', 'fr', 'x-klingon', '');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'grapheme', maxLength: 600 }),
          fc.array(english).map((all) => all.join(' ')),
        ),
        language,
        (text, tag) => {
          expect(CLASSES).toContain(assessCompleteness(text, tag));
        },
      ),
    );
    for (const part of ['a', '1', ' ', ', ', '- ', 'a-', '5 ', 'dot ', 'my email is ', '.', '1.', 'five ', '@']) {
      for (const tag of ['en', 'de']) expect(CLASSES).toContain(assessCompleteness(part.repeat(20_000), tag));
    }
  });
});
