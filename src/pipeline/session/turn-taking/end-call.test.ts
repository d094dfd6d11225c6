import { describe, expect, it } from 'vitest';
import { fixedPhrases } from '../../fixed-phrases.ts';
import { takesLeave } from './end-call.ts';

const leavesIn = (language: string, text: string) => takesLeave(text, fixedPhrases(language).endCallPhrases);

describe("a language's own phrases", () => {
  it.each([
    ['en', 'Okay, thank you very much, goodbye!'],
    ['en', 'Good-bye.'],
    ['en', 'Alright, thanks, bye.'],
    ['en', 'No, that’s all, thank you.'],
    ['en', 'You too, have a nice day!'],
    ['de', 'Gut, vielen Dank, auf Wiederhören.'],
    ['de', 'Tschüß!'],
    ['de', 'ja danke tschüs'],
    ['de', 'Nein danke, das war’s.'],
    ['de', 'Danke, Ihnen auch noch einen schönen Tag.'],
    ['de-AT', 'Danke schön, auf Wiederschauen!'],
    ['es', '¡Muchas gracias, adiós!'],
    ['es', 'vale adios'],
    ['es-MX', 'No, nada más, gracias.'],
    ['es', 'Perfecto, hasta luego.'],
    ['es', 'Gracias, que tenga un buen día.'],
    ['fr', 'Merci beaucoup, au revoir.'],
    ['fr', 'Non, c’est tout, merci.'],
    ['fr', 'Très bien, bonne journée !'],
    ['fr-CA', 'A bientot'],
    ['it', 'La ringrazio, arrivederci.'],
    ['it', 'Va bene, ciao.'],
    ['it', 'No, è tutto, grazie.'],
    ['pt', 'Muito obrigada, até logo.'],
    ['pt-BR', 'Tá bom, tchau!'],
    ['pt', 'Não, era só isso, obrigado.'],
    ['nl', 'Oké, dank u wel, tot ziens.'],
    ['nl', 'Nee, dat was alles, bedankt.'],
    ['nl', 'Doei!'],
  ])('take leave in %s: %s', (language, text) => {
    expect(leavesIn(language, text)).toBe(true);
  });

  it.each([
    ['en', 'Is that all?'],
    ['en', 'I stopped bye yesterday.'],
    ['en', 'I don’t have a good day for that next week.'],
    ['en', 'My colleague said goodbye to you and I want to talk about the bill.'],
    ['de', 'Schönen guten Tag, Müller hier.'],
    ['de', 'Das war alles falsch.'],
    ['de', 'Haben Sie noch einen Tisch für heute Abend?'],
    ['es', 'Buen día, quisiera una cita.'],
    ['es', '¿Está abierto hasta la próxima semana?'],
    ['fr', 'Bonjour, c’est tout près ?'],
    ['it', 'Ciao, vorrei prenotare un tavolo.'],
    ['it', 'Possiamo rimandare alla prossima settimana?'],
    ['pt', 'Bom dia, queria uma informação.'],
    ['pt', 'Posso chegar até mais tarde?'],
    ['nl', 'Dag, met Jansen.'],
  ])('do not in %s: %s', (language, text) => {
    expect(leavesIn(language, text)).toBe(false);
  });
});

describe("an agent's own phrases", () => {
  it('may be of a language without spaces', () => {
    const japanese = ['失礼します'];
    expect(takesLeave('ありがとうございました失礼します。', japanese)).toBe(true);
    expect(takesLeave('はい、失礼します。', japanese)).toBe(true);
    expect(takesLeave('失礼ですがどちら様ですか', japanese)).toBe(false);
    expect(takesLeave('さようならと言う映画を予約したいのですが', ['さようなら'])).toBe(false);
    expect(takesLeave('好的，谢谢你，再见！', ['再见'])).toBe(true);
    expect(takesLeave('ขอบคุณมากครับ ลาก่อน', ['ลาก่อน'])).toBe(true);
  });

  it('are each looked for, the longer one too when a shorter one is in it', () => {
    const text = 'Okay then, thank you very much for all your help, bye.';
    expect(takesLeave(text, ['bye'])).toBe(false);
    expect(takesLeave(text, ['bye', 'thank you very much for all your help, bye'])).toBe(true);
  });

  it('are whole words, and nothing when they have none', () => {
    expect(takesLeave('Take a note.', ['no'])).toBe(false);
    expect(takesLeave('Hello.', ['', '…'])).toBe(false);
    expect(takesLeave('', ['bye'])).toBe(false);
  });
});
