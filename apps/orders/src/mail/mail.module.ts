import { Module } from '@nestjs/common';
import { MailConsumer } from './mail.consumer.js';
import { Mailer } from './mailer.js';

@Module({ controllers: [MailConsumer], providers: [Mailer], exports: [Mailer] })
export class MailModule {}
