import type { Completeness } from './completeness.ts';

/** As completeness-en-finished.test-data.ts: what is not finished, or cannot be told. */
export const ENGLISH_UNFINISHED: Readonly<Record<Exclude<Completeness, 'complete'>, string>> = {
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
    when do you
    how can I
    what time does it
    where should we
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
