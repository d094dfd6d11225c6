/** The English words that show whether a sentence is finished. Lower case; contractions are one word. */

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/u));

/** Whole utterances that need nothing more. */
export const SHORT_ANSWERS: ReadonlySet<string> = new Set(
  [
    'yes|yeah|yep|yup|yea|ya|aye|no|nope|nah|sure|ok|okay|right|alright|all right|correct|exactly|absolutely|definitely|certainly|indeed|true|false',
    'uh huh|uh-huh|mm hmm|mhm|uh uh|nuh uh|huh|of course|of course not|not really|not yet|not now|not today|not at all|maybe|perhaps|probably',
    'probably not|maybe later|fine|good|great|perfect|wonderful|excellent|cool|nice|awesome|lovely|brilliant|please|yes please|no thanks|no thank you',
    'thanks|thank you|thanks a lot|many thanks|cheers|hi|hello|hey|hi there|hello there|hey there|good morning|good afternoon|good evening|good day',
    "bye|goodbye|bye bye|good night|see you|see you later|that's it|that's all|that is it|that is all|that's right|that is right|that's correct",
    "that's fine|that works|that's wrong|i do|i don't|i am|i'm not|i did|i didn't|i can|i can't|i haven't|i will|i won't|it is|it isn't",
    "it does|it doesn't|it was|it wasn't|i think so|i don't think so|i guess so|i hope so|i guess|i see|i know|i don't know|i do not know|i'm not sure",
    'no idea|no problem|none|nothing|nobody|neither|both|either|either one|any|anything|anytime|sorry|pardon|pardon me|excuse me|come again|what|why|who|where|when',
    "how|how so|what for|why not|which one|how come|what else|who is this|who's calling|who's this|never|always|sometimes|never mind|go ahead|got it",
    'stop|wait|help|cancel|repeat|continue|next|back|skip|done|operator|agent|representative|hold on|hang on|one moment|one second|just a moment',
    'just a second|wait a minute|me too|me|you|this one|that one|so so|as soon as possible|now|right now|today|tomorrow|yesterday|tonight|same',
    "not bad|i'm good|i'm fine|i'm done|i'm here|speaking|it's me|this is her|this is he|this is him|this is she|i'm in|i'm on it|i'm back|yes and no",
  ].flatMap((line) => line.split('|')),
);

/** Said before the sentence proper. */
export const OPENERS = words(
  'yes yeah yep yup yea no nope nah sure ok okay right alright oh ah well so um uh er erm hmm hm hi hello hey now look listen actually basically honestly ' +
    'anyway please thanks and but also like',
);
/** What may stand before an elliptic answer ("no I don't"). */
export const ANSWER_WORDS = words('yes yeah yep yup yea no nope nah sure right');
export const FILLERS = words('um uhm uh er erm hmm hm mm umm uhh ehm');
/** "Let me see" and the like hold the floor to think; "under the name" and the like introduce something. */
export const UNFINISHED_TAIL =
  /(?:^| )(?:let me (?:see|think|check|look|just)|let's see|how do i (?:say|put) (?:it|this)|what's the word|you know what i|give me a (?:second|moment|minute) (?:to|while)|(?:it's|it is|that's|they're|he's|she's) (?:like|just|not just)|or maybe|and maybe|or something like|sort of|kind of|(?<!(?:do|as|if|did|that) )you know|i mean|(?:under|by) (?:the|my|a) name|on behalf)$/u;

/** Two last words that end a sentence although the last one alone would not. */
export const ENDS_WELL: ReadonlySet<string> = new Set(
  (
    'think so|that so|hope so|guess so|believe so|is so|if so|do so|how so|say so|even so|so so|as well|very well|quite well|so well|going well|doing well|' +
    'went well|is well|all well|right then|okay then|ok then|just then|back then|since then|until then|by then|know how|guess what|so what|' +
    'at all|after all|or so|or not|why not|if not|some more|no more|one more|the most|the least|at least|at most|worth it|of course|not really|' +
    'like that|like this|what else|in general'
  ).split('|'),
);

/** Words, and pairs of words, that something must follow. */
export const NEVER_LAST: ReadonlySet<string> = new Set([
  ...words(
    'and or but nor because cuz cos plus if unless until while whereas whether than as although the a an my your our their its every each ' +
      'of into onto via during between among per including regarding concerning despite except toward towards against upon ' +
      'well so just also very really quite pretty rather only even gonna wanna gotta another whose actually basically especially ' +
      'particularly mr mrs ms dr let',
  ),
  ...(
    "let's|let me|the next|the last|the other|the whole|the same|my first|my last|and then|so then|but then|how about|what about|what if|" +
    'such as|for example|for instance|you please|i please|we please'
  ).split('|'),
]);
/** "I'm", "it's", "we'd", "who's", "there's". */
export const CONTRACTED_SUBJECTS =
  /^(?:i'(?:m|d|ll|ve)|(?:you|we|they)'(?:re|d|ll|ve)|(?:he|she|it|that|there|this|who|what|where|how|when|here|name|number)'(?:s|d|ll))$/u;
/** After these "that" opens a clause. */
export const TAKES_THAT = words(
  'think know say said says hope believe sure told tell mean means heard see so is was noticed understand wonder afraid and but because if like thing way fact saying',
);
export const AUXILIARIES = words(
  'is are was were am be been being have has had do does did will would can could shall should may might must wanted needed seems',
);
export const NEGATED_AUXILIARIES = words(
  "isn't aren't wasn't weren't haven't hasn't hadn't don't doesn't didn't won't wouldn't can't cannot couldn't shouldn't mustn't ain't not never",
);
/** Pronouns that may be the beginning of a clause. */
export const SUBJECTS = words('i we he she they you it this these those there who');
export const ONLY_SUBJECTS = words('i we he she they');
/** An auxiliary and its subject: the verb is still to come. ("Did it" may be one, as in "who did it".) */
export const BEFORE_SUBJECT =
  /^(?:(?:will|would|can|could|shall|should|may|might|must|does) \S+|(?:do|did) (?:you|i|we|he|she|they))$/u;
export const SUBORDINATORS = words(
  'and but or because if that when whether so unless until while since as where how than',
);
/** Articles and possessives: the word after them is a noun or its adjective, never the verb. */
export const NOUN_AFTER = words('the a an my your our their its every each');

export const PREPOSITIONS = words(
  'to of from at for with about by in on up off out over down through around across after before without near under behind along since beyond within ' +
    'above below beside besides inside outside like',
);
/** Adverbs of a verb as well: "check in", "log on", "call off". */
export const PARTICLES = words('in on up off out over down through around across along by');
export const PARTICLE_VERBS = words(
  'check checking checked sign signing signed log logging logged turn turning come coming came go going went gone hold hang pick picking picked set find ' +
    'found give drop fill filled work working worked call get getting got look make shut take took taking move moving figure break broke broken wake ' +
    'stand sit run running ran put bring follow start end ended clear close opt pass speed cut send show showed warm switch zoom keep carry carried ' +
    'dropped moved stay staying stopped let plug drive line open add sort write wrote it them him her me',
);
/** After a verb they are adverbs: "I have called before". */
export const MAY_STAND_ALONE = words(
  'before after around since without inside outside below above near over off out up down through along behind',
);
/** What can be said of the word before "to" when a question word stands earlier: "who should I talk to". */
export const TAKES_TO = words(
  'talk speak spoke spoken talking speaking belong listen write send report refer reply go going transferred connected',
);

/** Verbs that want an object. */
export const TRANSITIVE = words(
  'want need says like get make put give take bring tell ask say wondering wonder mean buy find show send hear think prefer wants needs gave took got bought found ' +
    'said told asked use discuss hoping trying want looking said called named book order reserve schedule change update check know see add remove ' +
    'speak pay call calling help confirm receive received',
);
/** Of them, those that can do without: "I would like to order", "I need to cancel". */
export const LOOSELY_TRANSITIVE = words(
  'book order reserve schedule change update check know see pay call calling help confirm speak called looking trying think ask hear',
);
/** "That is all I need", "the one I want": what the verb governs stands before it. */
export const RELATIVE_HEADS = words('all one thing everything anything something nothing only best least same');

/** Verbs that show their tense by themselves: after a noun they make a statement. */
export const FINITE_VERBS = words(
  'works worked called said told needs wants arrived came went looks sounds happened stopped broke lost bought paid got sent moved says shows keeps makes made ' +
    'takes took gave left died charged ordered booked tried asked found received forgot sounds seems started ended changed expired closed opened knows knew',
);
/** Of them, those that need nothing after them: "nothing works". */
export const INTRANSITIVE = words(
  'works worked arrived happened stopped broke died left started ended changed expired closed opened called',
);
/** What a verb in its plain form follows; after anything else it is a noun ("the eight o'clock show"). */
export const BEFORE_VERB =
  /^(?:to|i|we|you|they|he|she|it|that|who|please|just|really|also|only|always|not|me|[a-z]+'(?:d|ll|ve|re|m)|[a-z]+n't|cannot)$/u;

export const QUESTION_WORDS = words('what when where why who which how whose');
/** What governs the last word may have been said with these. */
export const GAP_OPENERS =
  /^(?:what|where|who|whom|which|when|how|why|that's|someone|something|anything|everything|nothing|somebody|anyone|what's|who's|where's|one)$/u;

/** Question words and auxiliaries with nothing to be asked about yet. */
export const UNFINISHED_QUESTION =
  /^(?:how (?:many|big)|what (?:kind|sort|type|color|colour|size)(?: of)?|which|(?:can|could|would|will|do|does|did|is|are|was|may|should|have|has) (?:i|you|we|he|she|they|it|there|the|this|that)(?: (?:please|also|just|possibly|maybe|even))?)$/u;
/** A clause that another one must follow. */
export const CLAUSE_OPENERS =
  /^(?:if|unless|when (?:i|we|he|she|they|my|the) (?!do\b|can\b|is\b|are\b|does\b|will\b)|while|whenever|once|although|even though|as soon as (?:i|we|you|he|she|they|my|the)|since (?:i|we|you|my|the)|before (?:i|we|you|my|the)|after (?:i|we|you|my|the))(?: |$)/u;
export const QUESTION_START =
  /^(?:(?:what|where|when|why|who|whose|which|how|what's|where's|who's|how's|when's)|(?:can|could|would|will|do|does|did|is|are|was|were|am|may|shall|should|have|has|isn't|aren't|don't|doesn't|didn't|can't|couldn't|won't|wouldn't|haven't|hasn't)) /u;
export const REQUEST_START =
  /^(?:(?:just|then|now) )?(?:book|cancel|change|call|tell|give|send|transfer|connect|put|stop|wait|repeat|help|show|speak|say|make|check|hold|let's|let|move|reschedule|take|read|turn|leave|try|forget|confirm|remove|add|order|go|come|get|find|schedule|reserve|set|spell|use|ask|hang|keep|don't|do not|switch|text|email|remind|look|start|play|open|close) \S/u;
const TIME_WORD =
  "today|tomorrow|yesterday|tonight|now|monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|july|august|september|october|november|december|morning|afternoon|evening|night|[ap] m|noon|midnight|weekend|week|month|year|am|pm|o'clock|minutes?|hours?|days?|weeks?|months?|years?|spring|summer|autumn|fall|winter|later|soon|earlier|once|twice";
const COUNT_WORD =
  'one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|first|second|third|fourth|fifth|half|quarter|\\d+(?:[:.,]\\d+)*(?:st|nd|rd|th|am|pm)?';
/** Up to six words that answer a question: a time, a count, a thing with its article, a preposition with its noun. */
export const SHORT_ANSWER = new RegExp(
  [
    String.raw`^(?:\S+ ){0,4}(?:${TIME_WORD})$`,
    String.raw`^(?:\S+ ){0,3}(?:${COUNT_WORD})(?: (?:${COUNT_WORD}|\S+))?$`,
    String.raw`^(?:the|my|your|our|this|that|his|her|any|some|no|all|both|just|only|not|very) \S+(?: \S+){0,2}$`,
    String.raw`^(?:a|an|the one|two|three|four|five|six) \S+(?: \S+){0,3}$`,
    String.raw`^(?:at|for|with|about|by|in|on|to|from|after|before|near|around|under|over|without|until) \S+(?: \S+){0,4}$`,
    String.raw`^(?:plan|option|gate|group|type|terminal|platform|row|size|unit|section|building|zone|level|line|number|room|flight|order) [a-z\d]+$`,
    String.raw`^(?:thanks|thank you) .+$`,
    String.raw`^(?:good|great|perfect|fine|wonderful|excellent|sounds good|sounds great|nice|glad)(?: \S+){0,3}$`,
    String.raw`^.* (?:please|thanks|thank you|too|as well|though|instead|again|anymore|already|yet|either|bye|goodbye)$`,
    String.raw`^because (?:\S+ ){2,}\S+$`,
  ].join('|'),
  'u',
);
